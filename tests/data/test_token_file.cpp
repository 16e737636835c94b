#include "data/token_file.hpp"

#include <unistd.h>
#include <xxhash.h>

#include <cstring>
#include <fstream>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "support/failing_allocator.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;

namespace {

void write_raw(const Path& path, const std::string& bytes) {
  std::filesystem::remove(path);  // truncating instead makes some file systems flush each time
  std::ofstream(path, std::ios::binary) << bytes;
}

// The reason why open() refuses these bytes with exit 4, or "" when it accepts them.
std::string refusal(const Path& path, const std::string& bytes) {
  write_raw(path, bytes);
  try {
    TokenFile::open(path);
    return "";
  } catch (const InputError& error) {
    REQUIRE_THAT(error.what(), Catch::Contains(path.native()));
    return error.what();
  }
}

template <class T>
std::string patched(std::string bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  return bytes;
}

// What a careful attacker writes: the checksum of the header matches.
std::string resealed(std::string bytes) {
  TokenFileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.header_checksum = 0;
  std::memcpy(bytes.data(), &header, sizeof header);
  header.header_checksum = XXH3_64bits(bytes.data(), header.data_offset);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

// A file of byte tokens with this JSON in its header, all checksums right.
std::string with_meta(const std::string& meta, const std::string& tokens) {
  TokenFileHeader header{};
  std::memcpy(header.magic, kTokenFileMagic, sizeof header.magic);
  header.version = kTokenFileVersion;
  header.token_bytes = 1;
  header.vocab_size = 256;
  header.token_count = tokens.size();
  header.meta_bytes = meta.size();
  header.data_offset = (sizeof header + meta.size() + 63) / 64 * 64;
  header.data_checksum = XXH3_64bits(tokens.data(), tokens.size());
  std::string bytes(header.data_offset, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.replace(sizeof header, meta.size(), meta);
  return resealed(bytes + tokens);
}

}  // namespace

TEST_CASE("tokens of one, two and four bytes come back as written") {
  const TemporaryFolder folder;
  for (const std::uint64_t vocab : {2ul, 256ul, 257ul, 65536ul, 65537ul, 1ul << 31}) {
    std::vector<Token> tokens;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      tokens.push_back(static_cast<Token>(Rng(vocab, 0).below(i, vocab)));
    }
    tokens.push_back(static_cast<Token>(vocab - 1));
    const TokenFile file = write_tokens(folder.path() / "f.tok", tokens, vocab);
    REQUIRE(file.vocab_size() == vocab);
    REQUIRE(file.token_bytes() == (vocab <= 256 ? 1u : vocab <= 65536 ? 2u : 4u));
    std::vector<Token> back(file.size());
    file.read(0, back);
    REQUIRE(back == tokens);
    REQUIRE(file.token(1000) == static_cast<Token>(vocab - 1));
  }
}

TEST_CASE("sources, line end and meta survive, and nothing is left beside the file") {
  const TemporaryFolder folder;
  const TokenFile file =
      write_bytes(folder.path() / "f.tok", {{"a", "one\n"}, {"empty", ""}, {"b", "two\n"}});
  REQUIRE(file.sources().size() == 2);
  REQUIRE(file.sources()[1].name == "b");
  REQUIRE(file.sources()[1].begin == 4);
  REQUIRE(file.sources()[1].end == 8);
  REQUIRE(file.sources()[1].documents == 1);
  REQUIRE(file.line_end() == Token{'\n'});
  REQUIRE(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a remapped spool has the tokens of the map") {
  const TemporaryFolder folder;
  TokenWriter writer(real_file_system(), folder.path() / "f.tok", 4);
  writer.begin_source("s");
  writer.append(std::vector<Token>{300, 5, 300});
  std::vector<Token> remap(301, -1);
  remap[300] = 1;
  remap[5] = 0;
  writer.finish(2, nlohmann::json::object(), remap);
  const TokenFile file = TokenFile::open(folder.path() / "f.tok");
  REQUIRE(file.token(0) == 1);
  REQUIRE(file.token(1) == 0);
  REQUIRE(file.token(2) == 1);
}

TEST_CASE("no tokens, no file") {
  const TemporaryFolder folder;
  {
    TokenWriter writer(real_file_system(), folder.path() / "f.tok", 1);
    writer.begin_source("s");
    REQUIRE_THROWS_AS(writer.finish(256, nlohmann::json::object()), InputError);
  }
  REQUIRE(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("two sources of one name are refused") {
  const TemporaryFolder folder;
  TokenWriter writer(real_file_system(), folder.path() / "f.tok", 1);
  writer.begin_source("s");
  REQUIRE_THROWS_AS(writer.begin_source("s"), UsageError);
}

TEST_CASE("every prefix of a token file is refused, and so is a longer one") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f.tok";
  write_bytes(path, {{"a", "some text\n"}});
  const std::string whole = read_text(path);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    INFO(length);
    REQUIRE(!refusal(path, whole.substr(0, length)).empty());
  }
  REQUIRE_THAT(refusal(path, ""), Catch::Contains("empty"));
  REQUIRE_THAT(refusal(path, whole.substr(0, whole.size() - 1)), Catch::Contains("truncated"));
  REQUIRE_THAT(refusal(path, whole + "x"), Catch::Contains("appended"));
  REQUIRE(refusal(path, whole).empty());
}

TEST_CASE("flipped bytes are noticed") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f.tok";
  const TokenFile original = write_bytes(path, {{"a", "some text\n"}, {"b", "more text\n"}});
  const std::string whole = read_text(path);
  const Rng rng(5, 0);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const std::size_t at = rng.below(3 * i, whole.size());
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1 + rng.below(3 * i + 1, 255)));
    INFO("byte " << at);
    REQUIRE(!refusal(path, bytes).empty());
  }
}

TEST_CASE("headers that lie behind a matching checksum are refused without a crash") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f.tok";
  write_bytes(path, {{"a", "some text\n"}, {"b", "more text\n"}});
  const std::string whole = read_text(path);
  const std::uint64_t huge = ~std::uint64_t{0};
  const auto refused = [&](const std::string& bytes) { return refusal(path, resealed(bytes)); };
  REQUIRE(refused(whole).empty());
  REQUIRE_THAT(refusal(path, patched(whole, offsetof(TokenFileHeader, version), 3u)),
               Catch::Contains("newer"));
  REQUIRE_THAT(refused(patched(whole, offsetof(TokenFileHeader, version), 2u)), Catch::Contains("mask"));
  for (const auto value : {std::uint64_t{0}, std::uint64_t{1}, huge, huge / 2 + 1}) {
    REQUIRE(!refusal(path, patched(whole, offsetof(TokenFileHeader, token_count), value)).empty());
    REQUIRE(!refusal(path, patched(whole, offsetof(TokenFileHeader, data_offset), value)).empty());
    REQUIRE(!refusal(path, patched(whole, offsetof(TokenFileHeader, vocab_size), value)).empty());
    REQUIRE(!refusal(path, patched(whole, offsetof(TokenFileHeader, meta_bytes), value)).empty());
  }
  REQUIRE_THAT(refused(patched(whole, offsetof(TokenFileHeader, vocab_size), std::uint64_t{100})),
               Catch::Contains("outside the vocabulary of 100"));
  const Rng rng(6, 0);
  for (std::uint64_t i = 0; i < 2000; ++i) {  // any outcome but a crash or another exception
    std::string bytes = whole;
    const std::size_t at = sizeof(TokenFileHeader) + rng.below(2 * i, 200);
    bytes[at] = static_cast<char>(rng.bits(2 * i + 1));
    refused(bytes);
  }
  std::string nested = whole;
  std::memset(nested.data() + sizeof(TokenFileHeader), '[', 150);
  REQUIRE_THAT(refused(nested), Catch::Contains("levels"));
}

namespace {

// Every token that is 0 modulo 3 or 5 counts, in pieces that begin and end anywhere in a byte of the mask.
TokenFile write_masked(const Path& path, std::uint64_t count) {
  TokenWriter writer(real_file_system(), path, 1);
  writer.begin_source("s");
  for (std::uint64_t i = 0; i < count; ++i) {
    const Token token = static_cast<Token>(i % 256);
    writer.append({&token, 1}, i < 20 || i % 3 == 0 || i % 5 == 0 ? Counts::yes : Counts::no);
  }
  writer.end_document();
  writer.finish(256, {{"text_bytes", count}, {"counted_bytes", 10}});
  return TokenFile::open(path);
}

}  // namespace

TEST_CASE("a loss mask comes back as written, and targets that do not count are marked") {
  const TemporaryFolder folder;
  for (const std::uint64_t count : {21ul, 24ul, 25ul, 1003ul}) {
    CAPTURE(count);
    const TokenFile file = write_masked(folder.path() / "f.tok", count);
    REQUIRE(file.has_mask() == (count > 22));  // the first that does not count is number 22
    std::vector<Token> targets(count - 1);
    file.read_targets(1, targets);
    std::uint64_t counted = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const bool counts = i < 20 || i % 3 == 0 || i % 5 == 0;
      REQUIRE(file.counts(i) == counts);
      REQUIRE(file.token(i) == static_cast<Token>(i % 256));
      counted += counts;
      if (i > 0) REQUIRE(targets[i - 1] == (counts ? static_cast<Token>(i % 256) : kIgnoredTarget));
    }
    if (file.has_mask()) REQUIRE(file.bytes_per_token() == Approx(10.0 / static_cast<double>(counted)));
  }
}

TEST_CASE(
    "every prefix and every flipped byte of a masked file is refused, and what is behind its last token") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f.tok";
  write_masked(path, 61);
  const std::string whole = read_text(path);
  for (std::size_t length = 0; length < whole.size(); ++length)
    REQUIRE(!refusal(path, whole.substr(0, length)).empty());
  REQUIRE_THAT(refusal(path, whole + "x"), Catch::Contains("appended"));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    INFO("byte " << at);
    REQUIRE(!refusal(path, bytes).empty());
  }
  const auto with_mask = [&](const std::string& mask) {
    const std::string tokens = whole.substr(whole.size() - 61 - 8, 61);
    std::string bytes = whole.substr(0, whole.size() - 8) + mask;
    bytes = patched(bytes, offsetof(TokenFileHeader, data_checksum),
                    std::uint64_t{XXH3_64bits((tokens + mask).data(), 61 + mask.size())});
    return refusal(path, resealed(bytes));
  };
  REQUIRE(with_mask(std::string(7, '\xff') + '\x1f') == "");
  REQUIRE_THAT(with_mask(std::string(7, '\xff') + '\x20'), Catch::Contains("behind the last token"));
  REQUIRE_THAT(with_mask(std::string(8, '\0')), Catch::Contains("no token counts"));
}

TEST_CASE("a missing file and a text file are errors of the input") {
  const TemporaryFolder folder;
  REQUIRE_THROWS_AS(TokenFile::open(folder.path() / "absent"), InputError);
  REQUIRE_THAT(refusal(folder.path() / "t", "just some text that nobody imported"),
               Catch::Contains("data import"));
}

TEST_CASE("opening a token file with too little memory fails cleanly at every allocation", "[allocator]") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f.tok";
  TokenWriter writer(real_file_system(), path, 1);
  for (int i = 0; i < 20; ++i) {
    writer.begin_source("a source whose name is no short string " + std::to_string(i));
    writer.append(tokens_of("text\n"));
  }
  writer.finish(256, {{"line_end", '\n'}, {"world", {{"deep", {{"list", {1, 2.5, true, "x"}}}}}}});
  std::uint64_t tokens = 0;
  REQUIRE(fail_each_allocation([&] { tokens = TokenFile::open(path).size(); }) > 30);
  REQUIRE(tokens == 100);
}

TEST_CASE("fields of the header have their types, others may hold anything") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f.tok";
  const auto opened = [&](const std::string& meta) { return refusal(path, with_meta(meta, "abc")); };
  const std::string source =
      R"("sources": [{"name": "a", "begin": 0, "end": 3, "documents": 1, "extra": [{"name": 1}]}])";
  REQUIRE(opened("{" + source + R"(, "line_end": 10, "text_bytes": 3, "x": {"sources": 1, "big": 1e300}})") ==
          "");
  const TokenFile file = TokenFile::open(path);
  REQUIRE(file.sources().size() == 1);
  REQUIRE(file.sources()[0].name == "a");
  REQUIRE(file.sources()[0].end == 3);
  REQUIRE(file.bytes_per_token() == 1);
  for (const char* bad : {"[]", "3", "{}", R"({"sources": {}})", R"({"sources": [1]})",
                          R"({"sources": [[]]})", R"({"sources": [{"name": "a", "begin": 0, "end": 3}]})",
                          R"({"sources": [{"name": 1, "begin": 0, "end": 3, "documents": 1}]})",
                          R"({"sources": [{"name": "a", "begin": -1, "end": 3, "documents": 1}]})",
                          R"({"sources": [{"name": "a", "begin": {}, "end": 3, "documents": 1}]})",
                          R"({"sources": [{"name": "a", "begin": 0, "end": 2, "documents": 1}]})"}) {
    INFO(bad);
    REQUIRE(opened(bad) != "");
  }
  for (const char* bad : {R"("line_end": "x")", R"("line_end": 256)", R"("document_end": 256)",
                          R"("document_end": -1)", R"("line_end": null)", R"("text_bytes": -1)"}) {
    INFO(bad);
    REQUIRE(opened("{" + source + ", " + bad + "}") != "");
  }
}
