#include "data/import.hpp"

#include <fmt/format.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <fstream>
#include <functional>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "data/overlap.hpp"
#include "data/synth.hpp"
#include "data/text_codec.hpp"
#include "data/text_reader.hpp"
#include "data/token_files.hpp"
#include "data/tokenizer.hpp"
#include "support/catch.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;

namespace {

Path write_file(const TemporaryFolder& folder, const std::string& name, const std::string& content) {
  Path path = folder.path() / name;
  std::filesystem::remove(path);  // truncating instead makes some file systems flush each time
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

TokenFile import_one(const TemporaryFolder& folder, const Path& path, ImportOptions options = {}) {
  options.sources = {{source_name(path), path}};
  return import_text(real_file_system(), options, folder.path() / "out.tok");
}

std::string text_of(const TokenFile& file) {
  const auto bytes = file.bytes(0, file.size());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string xz(const std::string& text) {
  std::string out(text.size() + 1000, '\0');
  std::size_t size = 0;
  REQUIRE(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                                  reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                  reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size()) == LZMA_OK);
  out.resize(size);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string random_text(int words) {
  std::string text;
  for (int i = 0; i < words; ++i) text += fmt::format("{}{}", Rng(1, 1).bits(i), i % 9 == 8 ? '\n' : ' ');
  return text;
}

std::vector<Token> decoded(std::string_view text, std::size_t chunk, Utf8Decoder& decoder) {
  std::vector<Token> out;
  for (std::size_t i = 0; i < text.size(); i += chunk) decoder.decode(text.substr(i, chunk), out);
  decoder.finish(out);
  return out;
}

}  // namespace

TEST_CASE("bytes come back as they were, whatever they are") {
  const TemporaryFolder folder;
  std::string all;
  for (int i = 0; i < 256 * 3; ++i) all.push_back(static_cast<char>(i));
  const TokenFile file = import_one(folder, write_file(folder, "some.thing.txt", all));
  REQUIRE(text_of(file) == all);
  REQUIRE(file.sources()[0].name == "some.thing");
  REQUIRE(file.vocab_size() == 256);
  REQUIRE(file.bytes_per_token() == 1.0);
}

TEST_CASE("packed files, also of several streams, give the same tokens") {
  const TemporaryFolder folder;
  const std::string text = random_text(60000), more = random_text(10);
  for (const auto& [pack, ending] : {std::pair{&gzip, ".gz"}, {&xz, ".xz"}, {&zstd, ".zst"}}) {
    INFO(ending);
    const auto path = write_file(folder, std::string("t.txt") + ending, pack(text) + pack(more));
    const TokenFile file = import_one(folder, path);
    REQUIRE(file.sources()[0].name == "t");
    REQUIRE(text_of(file) == text + more);
  }
}

TEST_CASE("a name that promises a packing which the content is not, or which is not read, is refused") {
  const TemporaryFolder folder;
  const std::string text = random_text(1000);
  for (const auto& [name, content] : {std::pair{"t.txt.gz", text},
                                      {"t.txt.xz", xz(text).substr(0, 5)},
                                      {"t.zst", std::string()},
                                      {"t.gz", xz(text)},
                                      {"t.txt.bz2", text},
                                      {"t.bz2", "BZh91AY&SY" + text}}) {
    INFO(name);
    const Path path = write_file(folder, name, content);
    REQUIRE_THROWS_AS(import_one(folder, path), InputError);
    REQUIRE_THROWS_WITH(import_one(folder, path), Catch::Contains(path.native()));
  }
  REQUIRE(text_of(import_one(folder, write_file(folder, "t.gz.txt", text))) == text);
}

TEST_CASE("every prefix of a packed file and every flipped byte is an error or changes nothing") {
  const TemporaryFolder folder;
  const std::string text = random_text(12);
  for (const auto& pack : {&gzip, &xz}) {
    const std::string packed = pack(text);
    for (std::size_t length = 7; length < packed.size(); ++length) {
      INFO(length);
      const auto path = write_file(folder, "t", packed.substr(0, length));
      REQUIRE_THROWS_WITH(import_one(folder, path), Catch::Contains("truncated"));
    }
    for (std::size_t at = 10; at < packed.size(); ++at) {
      std::string bytes = packed;
      bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
      std::string outcome;
      try {
        outcome = text_of(import_one(folder, write_file(folder, "t", bytes)));
      } catch (const InputError& error) {
        REQUIRE_THAT(error.what(), Catch::Contains("damaged") || Catch::Contains("no usable") ||
                                       Catch::Contains("holds no text"));
        outcome = text;
      }
      REQUIRE(outcome == text);
    }
  }
  const std::string packed = zstd(text);
  for (std::size_t length = 4; length < packed.size(); ++length) {
    REQUIRE_THROWS_AS(import_one(folder, write_file(folder, "t", packed.substr(0, length))), InputError);
  }
}

TEST_CASE("UTF-8 is decoded over any chunk borders") {
  // The characters at the borders of the four lengths.
  const std::string good =
      "a\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
  const std::vector<Token> expected = {'a', 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0x10000, 0x10ffff};
  for (std::size_t chunk = 1; chunk <= good.size(); ++chunk) {
    Utf8Decoder decoder;
    REQUIRE(decoded(good, chunk, decoder) == expected);
    REQUIRE(decoder.errors() == 0);
  }
  std::string again;
  for (const Token c : expected) again += encode_utf8(c);
  REQUIRE(again == good);
}

TEST_CASE("ill-formed UTF-8 is counted and located") {
  struct Case {
    std::string text;
    std::uint64_t errors, first;
  };
  const Case cases[] = {{"ab\xff", 1, 2},
                        {"\xc0\xaf", 2, 0},
                        {"\xe0\x80\x80", 3, 0},
                        {"\xed\xa0\x80", 3, 0},
                        {"\xf4\x90\x80\x80", 4, 0},
                        {"a\xe2\x82", 1, 1},
                        {"a\xe2\x82"
                         "b\x80",
                         2, 1},
                        {"\xf0\x9f\x98\xc2\xa0", 1, 0}};
  for (const Case& c : cases) {
    for (std::size_t chunk = 1; chunk <= c.text.size(); ++chunk) {
      INFO(c.text << " by " << chunk);
      Utf8Decoder decoder;
      decoded(c.text, chunk, decoder);
      REQUIRE(decoder.errors() == c.errors);
      REQUIRE(decoder.first_error() == c.first);
    }
  }
}

TEST_CASE("characters get sorted numbers; bad UTF-8 is refused or replaced") {
  const TemporaryFolder folder;
  ImportOptions options;
  options.tokenizer = "chars";
  const TokenFile file = import_one(folder, write_file(folder, "t", "bä\nab"), options);
  REQUIRE(file.vocab_size() == 4);
  REQUIRE(file.meta()["tokenizer"]["code_points"] == nlohmann::json({'\n', 'a', 'b', 0xe4}));
  REQUIRE(file.token(0) == 2);
  REQUIRE(file.token(1) == 3);
  REQUIRE(file.line_end() == Token{0});
  REQUIRE(file.bytes_per_token() == Approx(6.0 / 5));
  const auto bad = write_file(folder, "bad", "good \xff and \xfe");
  REQUIRE_THROWS_WITH(import_one(folder, bad, options),
                      Catch::Contains("2 ill-formed") && Catch::Contains("byte 5"));
  std::uint64_t replaced = 0;
  options.invalid_utf8 = "replace";
  options.on_replaced = [&](const TextSource&, std::uint64_t count) { replaced = count; };
  REQUIRE(import_one(folder, bad, options).size() == 12);
  REQUIRE(replaced == 2);
}

TEST_CASE("JSON lines give one document each") {
  const TemporaryFolder folder;
  ImportOptions options;
  options.field = "text";
  const auto path =
      write_file(folder, "t.jsonl", "{\"text\":\"one\"}\n\n{\"id\":2,\"text\":\"tw\\u00f6\\n\"}");
  const TokenFile file = import_one(folder, path, options);
  REQUIRE(text_of(file) == "one\ntwö\n");
  REQUIRE(file.sources()[0].documents == 2);
  for (const char* bad :
       {"{\"text\":3}", "{\"other\":\"x\"}", "{\"text\":\"x\"", "[]", "{\"text\":\"\xff\"}"}) {
    const auto lines = write_file(folder, "bad", std::string("{\"text\":\"fine\"}\n") + bad + "\n");
    REQUIRE_THROWS_WITH(import_one(folder, lines, options), Catch::Contains("bad:2'"));
  }
}

namespace {

const char* const kBpe = "tests/reference/bpe/tokenizer.json";

std::vector<Token> all_tokens(const TokenFile& file) {
  std::vector<Token> tokens(file.size());
  file.read(0, tokens);
  return tokens;
}

}  // namespace

TEST_CASE("with a BPE every document has the tokens of its text and ends with the token for that") {
  const TemporaryFolder folder;
  ImportOptions options;
  options.tokenizer = kBpe;
  const auto codec = read_codec(kBpe);
  const Token end = *codec->document_end();
  const std::string text = random_text(40000) + "größer <|endoftext|> no end\n";  // several chunks
  const TokenFile plain = import_one(folder, write_file(folder, "t", text), options);
  std::vector<Token> expected = codec->encode(text);
  CHECK(std::ranges::count(expected, end) == 0);  // text is text, whatever it says
  expected.push_back(end);
  CHECK(all_tokens(plain) == expected);
  CHECK(plain.document_end() == end);
  CHECK(plain.line_end() == codec->encode("\n")[0]);
  CHECK(plain.bytes_per_token() ==
        Approx(static_cast<double>(text.size()) / static_cast<double>(expected.size())));

  options.field = "text";
  const auto lines = write_file(folder, "t.jsonl", "{\"text\":\"one\"}\n{\"text\":\"the two\\n\"}\n");
  const TokenFile file = import_one(folder, lines, options);
  CHECK(decoded(*codec, all_tokens(file)) == "one<|endoftext|>the two\n<|endoftext|>");
  CHECK(std::ranges::count(all_tokens(file), end) == 2);
  CHECK(file.sources()[0].documents == 2);

  // Another text with the tokenizer of that file, wherever the first one's vocabulary is now.
  options.field = "";
  std::filesystem::rename(folder.path() / "out.tok", folder.path() / "first.tok");
  options.tokenizer = (folder.path() / "first.tok").native();
  const TokenFile again = import_one(folder, write_file(folder, "t", text), options);
  CHECK(again.checksum() == plain.checksum());
  CHECK(again.meta()["tokenizer"] == plain.meta()["tokenizer"]);
  REQUIRE_THROWS_WITH(import_one(folder, write_file(folder, "nothing", ""), options),
                      Catch::Contains("no text"));
}

TEST_CASE("a fixed set of characters refuses others, by file and character") {
  const TemporaryFolder folder;
  ImportOptions options;
  options.tokenizer = "chars";
  const Path first = folder.path() / "first.tok";
  options.sources = {{"t", write_file(folder, "t", "abc\n")}};
  import_text(real_file_system(), options, first);
  options.tokenizer = first.native();
  CHECK(all_tokens(import_one(folder, write_file(folder, "u", "cab"), options)) ==
        std::vector<Token>{3, 1, 2});
  CHECK_THROWS_WITH(import_one(folder, write_file(folder, "v", "cab d"), options),
                    Catch::Contains("/v'") && Catch::Contains("U+0020"));
}

TEST_CASE("a document end of one's own stands behind every document") {
  const TemporaryFolder folder;
  ImportOptions options;
  options.field = "text";
  options.document_end = 0;
  const auto lines = write_file(folder, "t.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\\n\"}\n");
  const TokenFile bytes = import_one(folder, lines, options);
  CHECK(text_of(bytes) == std::string("one\0two\n\0", 9));
  CHECK(bytes.document_end() == Token{0});
  options.tokenizer = "chars";
  options.document_end = '|';
  const TokenFile chars = import_one(folder, lines, options);
  CHECK(decoded(*codec_of(chars), all_tokens(chars)) == "one|two\n|");
  CHECK(codec_of(chars)->bytes_of(*chars.document_end()) == "|");
  options.tokenizer = "bytes";
  options.document_end = 256;
  CHECK_THROWS_AS(import_one(folder, lines, options), UsageError);
  options.tokenizer = "chars";
  options.document_end = kCodePointLimit;
  CHECK_THROWS_AS(import_one(folder, lines, options), UsageError);
}

TEST_CASE("prompts do not count, what follows them does, each encoded for itself") {
  const TemporaryFolder folder;
  ImportOptions options;
  options.field = "completion";
  options.prompt_field = "prompt";
  const auto lines = write_file(folder, "t.jsonl",
                                "{\"prompt\":\"the \",\"completion\":\"other\"}\n"
                                "{\"prompt\":\"\",\"completion\":\"the\"}\n");
  const TokenFile bytes = import_one(folder, lines, options);
  CHECK(text_of(bytes) == "the other\nthe\n");
  for (std::uint64_t i = 0; i < bytes.size(); ++i) CHECK(bytes.counts(i) == (i >= 4));
  CHECK(bytes.bytes_per_token() == 1.0);
  CHECK(bytes.meta()["text_bytes"] == 14);
  options.tokenizer = kBpe;
  const auto codec = read_codec(kBpe);
  const TokenFile file = import_one(folder, lines, options);
  std::vector<Token> expected = codec->encode("the ");
  const std::size_t prompt = expected.size();
  for (const char* text : {"other", "the"}) {
    for (const Token token : codec->encode(text)) expected.push_back(token);
    expected.push_back(*codec->document_end());
  }
  CHECK(all_tokens(file) == expected);
  for (std::uint64_t i = 0; i < file.size(); ++i) CHECK(file.counts(i) == (i >= prompt));
  CHECK_THROWS_WITH(import_one(folder, write_file(folder, "bad", "{\"completion\":\"x\"}"), options),
                    Catch::Contains("bad:1'") && Catch::Contains("'prompt' is not there"));
  options.field = "";
  CHECK_THROWS_AS(import_one(folder, lines, options), UsageError);
}

TEST_CASE("empty input, unknown options and missing files leave nothing behind") {
  const TemporaryFolder folder;
  const Path empty = write_file(folder, "empty", "");
  REQUIRE_THROWS_WITH(import_one(folder, empty), Catch::Contains("empty") && Catch::Contains("no text"));
  REQUIRE_THROWS_AS(import_one(folder, folder.path() / "absent"), InputError);
  ImportOptions options;
  options.tokenizer = "byte";
  REQUIRE_THROWS_WITH(import_one(folder, empty, options), Catch::Contains("did you mean 'bytes'"));
  REQUIRE_THROWS_AS(import_text(real_file_system(), ImportOptions{}, folder.path() / "o"), UsageError);
  REQUIRE(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("the overlap of ten-word sequences is counted") {
  const TemporaryFolder folder;
  const std::string text = random_text(20000);
  const TokenFile fresh = write_bytes(folder.path() / "f.tok", {{"a", text}});
  const TokenFile file = TokenFile::open(folder.path() / "f.tok");
  REQUIRE(file.size() == fresh.size());
  ImportOptions options;
  const auto imported = import_one(folder, write_file(folder, "t", text), options);
  const SplitRanges split = make_split(imported, "hashed", 0.1);
  const Overlap none = ten_gram_overlap(imported, split);
  REQUIRE(none.found == 0);
  REQUIRE(none.examined > 1500);
  REQUIRE(none.one_in == 1);
  // The same text twice, the second time behind a word so that blocks differ: nearly all of it is known.
  const auto twice = import_one(folder, write_file(folder, "t", text + "shift\n" + text), options);
  SplitRanges halves{{{0, text.size(), 0}}, {{text.size() + 6, twice.size(), 0}}, 0.5};
  REQUIRE(ten_gram_overlap(twice, halves).share() == 1.0);
}

namespace {

// Runs `make` with its k-th call of the file system failing, for every k. The target then holds what it held
// before or, when only the last flush failed, the whole new file; nothing lies beside it. Returns how many failed.
int fail_each_call(const TemporaryFolder& folder, const std::function<void(FileSystem&, const Path&)>& make) {
  const Path out = folder.path() / "out.tok";
  const auto files = [&] { return list_directory(folder.path()).size(); };
  make(unsynced_file_system(), out);
  const std::string whole = read_text(out);
  const std::size_t expected = files();
  int failures = 0;
  for (int k = 0;; ++k) {
    write_file(folder, "out.tok", "old");
    FailingFileSystem fs(k);
    bool thrown = false;
    try {
      make(fs, out);
    } catch (const IoError& error) {
      thrown = true;
      ++failures;
      REQUIRE_THAT(error.what(), Catch::Contains(folder.path().native()));
    }
    INFO("call " << k);
    const std::string found = read_text(out);
    REQUIRE((found == whole || (thrown && found == "old")));
    if (!fs.failed()) return failures;
    if (thrown) {
      REQUIRE(files() == expected);
    } else {  // a temporary file that could not be removed: the result is there all the same
      REQUIRE(files() == expected + 1);
      for (const char* left : {"out.tok.spool", "out.tok.draft", "out.tok.draft.spool"})
        std::filesystem::remove(folder.path() / left);
    }
  }
}

}  // namespace

TEST_CASE("words of a BPE are told apart by the spaces that its tokens begin with") {
  const TemporaryFolder folder;
  const std::string text = random_text(20000);
  ImportOptions options;
  options.tokenizer = kBpe;
  const auto twice = import_one(folder, write_file(folder, "t", text + "shift\n" + text), options);
  const std::uint64_t first = read_codec(kBpe)->encode(text).size();
  const SplitRanges halves{{{0, first, 0}}, {{first + 4, twice.size(), 0}}, 0.5};
  const Overlap overlap = ten_gram_overlap(twice, halves);
  REQUIRE(overlap.examined > 19000);  // of 20,000 words
  REQUIRE(overlap.share() > 0.99);
}

TEST_CASE("an import whose k-th file system call fails leaves the old file and nothing else") {
  const TemporaryFolder folder;
  ImportOptions options;
  for (const char* name : {"a", "b"})
    options.sources.push_back({name, write_file(folder, name, random_text(50000))});
  for (const char* tokenizer : {"bytes", "chars"}) {
    options.tokenizer = tokenizer;
    REQUIRE(fail_each_call(folder, [&](FileSystem& fs, const Path& out) { import_text(fs, options, out); }) >
            6);
  }
}

TEST_CASE("a synthesis whose k-th file system call fails leaves the old file and nothing else") {
  const TemporaryFolder folder;
  SynthOptions options;
  options.world = "markov";
  options.tokens = 3000;
  options.contexts = {16};
  REQUIRE(fail_each_call(folder, [&](FileSystem& fs, const Path& out) { synthesize(fs, options, out); }) >
          10);
}
