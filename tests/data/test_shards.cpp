// Token shards of llm.c and nanoGPT: both dtypes, what they hold, and every way in which they can be damaged.
#include "data/shards.hpp"

#include <cstring>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "data/text_codec.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;
using Catch::Contains;

namespace {

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::string llmc_shard(std::int32_t magic, std::int32_t version, const std::vector<T>& tokens) {
  std::vector<std::int32_t> header(256);
  header[0] = magic;
  header[1] = version;
  header[2] = static_cast<std::int32_t>(tokens.size());
  return bytes_of(header) + bytes_of(tokens);
}

struct Folder {
  TemporaryFolder folder;
  Path write(const std::string& name, const std::string& bytes) const {
    write_atomically(unsynced_file_system(), folder.path() / name, bytes);
    return folder.path() / name;
  }
  TokenFile import(ShardOptions options) const {
    return import_shards(unsynced_file_system(), options, folder.path() / "out.tok");
  }
  TokenFile import_one(const std::string& format, const std::string& bytes,
                       std::optional<std::uint64_t> vocab = {}) const {
    ShardOptions options;
    options.format = format;
    options.vocab = vocab;
    options.sources = {{"shard", write("shard.bin", bytes)}};
    return import(options);
  }
};

std::vector<Token> all_tokens(const TokenFile& file) {
  std::vector<Token> tokens(file.size());
  file.read(0, tokens);
  return tokens;
}

const std::vector<std::uint16_t> kGpt2 = {50256, 1, 2, 50255, 50256, 7};
const std::vector<std::uint32_t> kLlama = {128000, 5, 128255, 70000};

}  // namespace

TEST_CASE("both versions of llm.c's shards are read") {
  const Folder f;
  const TokenFile narrow = f.import_one("llmc", llmc_shard(20240520, 1, kGpt2));
  CHECK(all_tokens(narrow) == std::vector<Token>(kGpt2.begin(), kGpt2.end()));
  CHECK(narrow.vocab_size() == 50257);
  CHECK(narrow.document_end() == Token{50256});
  CHECK(narrow.sources()[0].documents == 2);
  CHECK(narrow.bytes_per_token() == 0);
  CHECK(codec_of(narrow) == nullptr);
  const TokenFile wide = f.import_one("llmc", llmc_shard(20240801, 7, kLlama));
  CHECK(all_tokens(wide) == std::vector<Token>(kLlama.begin(), kLlama.end()));
  CHECK(wide.vocab_size() == 128256);
  CHECK(wide.document_end() == Token{128000});
}

TEST_CASE("nanoGPT's shards are read with the vocabulary that is named") {
  const Folder f;
  const TokenFile file = f.import_one("nanogpt", bytes_of(kGpt2), 50257);
  CHECK(all_tokens(file) == std::vector<Token>(kGpt2.begin(), kGpt2.end()));
  CHECK_FALSE(file.document_end());
  CHECK_THROWS_AS(f.import_one("nanogpt", bytes_of(kGpt2)), UsageError);
  CHECK_THROWS_WITH(f.import_one("nanogpt", bytes_of(kGpt2), 50256),
                    Contains("at byte 0: token 50256, outside"));
  CHECK_THROWS_AS(f.import_one("nanogp", bytes_of(kGpt2), 50257), UsageError);
  const TokenFile small =
      f.import_one("llmc", llmc_shard(20240520, 1, std::vector<std::uint16_t>{1, 2, 199}), 200);
  CHECK(small.vocab_size() == 200);
  CHECK_FALSE(small.document_end());  // llm.c's own is none of these
}

TEST_CASE("every prefix and what is longer is refused, and so is another magic, version or vocabulary") {
  const Folder f;
  for (const std::string& whole : {llmc_shard(20240520, 1, kGpt2), llmc_shard(20240801, 7, kLlama)}) {
    for (std::size_t length = 0; length < whole.size(); length += length < 1020 ? 51 : 1)
      CHECK_THROWS_AS(f.import_one("llmc", whole.substr(0, length)), InputError);
    CHECK_THROWS_WITH(f.import_one("llmc", whole.substr(0, whole.size() - 1)), Contains("truncated"));
    CHECK_THROWS_WITH(f.import_one("llmc", whole + "ab"), Contains("appended"));
  }
  CHECK_THROWS_AS(f.import_one("nanogpt", bytes_of(kGpt2).substr(1), 50257), InputError);
  CHECK_THROWS_WITH(f.import_one("nanogpt", "", 50257), Contains("no tokens"));
  CHECK_THROWS_WITH(f.import_one("llmc", llmc_shard(20240521, 1, kGpt2)), Contains("begins with 20240521"));
  CHECK_THROWS_WITH(f.import_one("llmc", llmc_shard(20240520, 7, kGpt2)), Contains("version 7"));
  CHECK_THROWS_WITH(f.import_one("llmc", llmc_shard(20240801, 7, std::vector<std::uint32_t>{1, 0xFFFFFFFF})),
                    Contains("at byte 1028: token 4294967295"));
  CHECK_THROWS_WITH(f.import_one("llmc", llmc_shard(20240520, 1, std::vector<std::uint16_t>{})),
                    Contains("no tokens"));
  std::string negative = llmc_shard(20240520, 1, kGpt2);
  std::memset(negative.data() + 8, 0xFF, 4);
  CHECK_THROWS_WITH(f.import_one("llmc", negative), Contains("at byte 8: -1 tokens"));
  CHECK_THROWS_AS(f.import_one("llmc", llmc_shard(20240520, 1, kGpt2), 50256), InputError);
}

TEST_CASE("any change of a header or of a token is read or refused, never more") {
  const Folder f;
  const std::string whole = llmc_shard(20240520, 1, kGpt2);
  const Rng rng(1, 1);
  for (std::uint64_t i = 0; i < 300; ++i) {
    std::string bytes = whole;
    const std::size_t at = i % 2 == 0 ? rng.below(3 * i, 12) : 1024 + rng.below(3 * i, bytes.size() - 1024);
    bytes[at] = static_cast<char>(rng.bits(3 * i + 1));
    try {
      const std::uint64_t size = f.import_one("llmc", bytes).size();
      CHECK(size == kGpt2.size());
    } catch (const InputError& error) {
      CHECK_THAT(error.what(), Contains("shard.bin"));
    }
  }
}

TEST_CASE("shards of one name are one source, others their own; all have one vocabulary") {
  const Folder f;
  ShardOptions options;
  options.format = "llmc";
  const Path first = f.write("1.bin", llmc_shard(20240520, 1, kGpt2)),
             wide = f.write("3.bin", llmc_shard(20240801, 7, kLlama));
  options.sources = {{"web", first}, {"web", first}, {"code", first}};
  const TokenFile file = f.import(options);
  REQUIRE(file.sources().size() == 2);
  CHECK(file.sources()[0].end == 12);
  CHECK(file.sources()[0].documents == 4);
  options.sources.push_back({"wide", wide});
  CHECK_THROWS_WITH(f.import(options), Contains("3.bin") && Contains("128256"));
  options.sources.clear();
  CHECK_THROWS_AS(f.import(options), UsageError);
}

TEST_CASE("with a tokenizer the numbers are text, whose bytes are counted") {
  const Folder f;
  const std::string name = "tests/reference/bpe/tokenizer.json";
  const auto codec = read_codec(name);
  const std::string text = "the other größer 123";
  std::vector<std::uint16_t> ids;
  for (const Token token : codec->encode(text)) ids.push_back(static_cast<std::uint16_t>(token));
  ids.push_back(static_cast<std::uint16_t>(*codec->document_end()));
  ShardOptions options;
  options.format = "nanogpt";
  options.tokenizer = name;
  options.vocab = codec->vocab_size();
  options.sources = {{"s", f.write("s.bin", bytes_of(ids))}};
  const TokenFile file = f.import(options);
  CHECK(file.bytes_per_token() == Approx(static_cast<double>(text.size()) / static_cast<double>(ids.size())));
  CHECK(decoded(*codec_of(file), all_tokens(file)) == text + "<|endoftext|>");
  CHECK(file.document_end() == codec->document_end());
  options.vocab = 50257;
  CHECK_THROWS_AS(f.import(options), UsageError);
}
