// Byte-level BPE: against Hugging Face's tokenizers (vectors of tests/reference/bpe.py), round trips of any bytes, cuts of a stream,
// training by hand, and files that are refused.
#include "data/bpe.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "data/bpe_files.hpp"
#include "data/bpe_train.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;
using Catch::Matchers::Contains;

namespace {

const Path kFolder = "tests/reference/bpe";

void write_text(const Path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<Token> encode(const Bpe& bpe, std::string_view text,
                          BpeEncoder::Specials specials = BpeEncoder::Specials::as_text) {
  BpeEncoder encoder(bpe, specials);
  std::vector<Token> tokens;
  encoder.encode(text, tokens);
  encoder.finish(tokens);
  return tokens;
}

std::string decode(const Bpe& bpe, std::span<const Token> tokens) {
  std::string text;
  for (const Token token : tokens) text += bpe.bytes_of(token);
  return text;
}

Bpe trained_on(std::string_view text, Token vocab_size) {
  BpeTrainer trainer;
  trainer.add(text);
  trainer.finish_text();
  return std::move(*trainer.train(vocab_size));
}

}  // namespace

TEST_CASE("tokens are those of Hugging Face's tokenizers", "[bpe]") {
  const Bpe plain = read_bpe(kFolder / "tokenizer.json"), split = read_bpe(kFolder / "split.json"),
            gpt2 = read_bpe(kFolder / "vocab.json");
  std::istringstream lines(read_text(kFolder / "texts.jsonl"));
  int texts = 0;
  for (std::string line; std::getline(lines, line); ++texts) {
    const auto expected = nlohmann::json::parse(line);
    const auto text = expected["text"].get<std::string>();
    INFO(line);
    const auto as_tokens = BpeEncoder::Specials::as_tokens;
    CHECK(encode(plain, text, as_tokens) == expected["plain"].get<std::vector<Token>>());
    CHECK(encode(split, text, as_tokens) == expected["split"].get<std::vector<Token>>());
    CHECK(encode(gpt2, text, as_tokens) == encode(plain, text, as_tokens));
    CHECK(decode(plain, encode(plain, text)) == text);
    CHECK(decode(plain, encode(plain, text, as_tokens)) == text);
  }
  REQUIRE(texts > 20);
}

TEST_CASE("any bytes come back, however the stream is cut", "[bpe]") {
  const Bpe bpe = read_bpe(kFolder / "tokenizer.json");
  std::string text;
  const Rng rng(3, 1);
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const std::uint64_t kind = rng.below(2 * i, 4);
    if (kind == 0) text += static_cast<char>(rng.below(2 * i + 1, 256));
    if (kind == 1) text += " the";
    if (kind == 2) text += rng.below(2 * i + 1, 2) == 0 ? "\n" : "  ";
    if (kind == 3) text += rng.below(2 * i + 1, 40) == 0 ? "<|endoftext|>" : "ö1";
  }
  for (const auto specials : {BpeEncoder::Specials::as_text, BpeEncoder::Specials::as_tokens}) {
    const std::vector<Token> whole = encode(bpe, text, specials);
    REQUIRE(decode(bpe, whole) == text);
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100}, std::size_t{4096}}) {
      BpeEncoder encoder(bpe, specials);
      std::vector<Token> tokens;
      for (std::size_t at = 0; at < text.size(); at += step)
        encoder.encode(std::string_view(text).substr(at, step), tokens);
      encoder.finish(tokens);
      CAPTURE(step);
      CHECK(tokens == whole);
    }
  }
}

TEST_CASE("a long piece takes no time that grows with its square", "[bpe]") {
  const Bpe bpe = trained_on(std::string(1000, 'a'), 262);
  const std::string text(1 << 20, 'a');
  const std::vector<Token> tokens = encode(bpe, text);
  CHECK(tokens.size() == text.size() / 64);  // six doublings
  CHECK(decode(bpe, tokens) == text);
}

TEST_CASE("training merges the most frequent pair, the first of equals", "[bpe]") {
  // Pieces: "aab" three times, " aab" once, " cab" twice. ab: 6, aa: 4, then " c", "ca" twice and " a" once.
  const Bpe bpe = trained_on("aab\naab\naab aab cab cab", 300);
  const auto merges = bpe.merges();
  REQUIRE(merges.size() >= 3);
  CHECK(bpe.bytes_of(merges[0].result) == "ab");
  CHECK(bpe.bytes_of(merges[1].result) == "aab");
  // " c" and "c" + "ab" occur twice each; 32 is below 99.
  CHECK(bpe.bytes_of(merges[2].result) == " c");
  CHECK(bpe.bytes_of(merges[3].result) == " cab");
  CHECK(merges.size() == 4);  // what is left occurs once
  CHECK(bpe.vocab_size() == 260);
  CHECK(encode(bpe, " cab") == std::vector<Token>{259});
}

TEST_CASE("training does not depend on how the text is cut, and gives up when told to", "[bpe]") {
  const std::string text = read_text("docs/kernels.md");
  BpeTrainer whole, cut;
  whole.add(text);
  whole.finish_text();
  for (std::size_t at = 0; at < text.size(); at += 61) cut.add(std::string_view(text).substr(at, 61));
  cut.finish_text();
  const auto a = whole.train(700), b = cut.train(700);
  REQUIRE((a && b));
  CHECK(to_tokenizer_json(*a) == to_tokenizer_json(*b));
  CHECK(a->vocab_size() == 700);
  const std::vector<Token> tokens = encode(*a, text);
  CHECK(decode(*a, tokens) == text);
  CHECK(tokens.size() < text.size() / 2);
  CHECK_FALSE(whole.train(700, [] { return true; }));
}

TEST_CASE("special tokens have the last numbers of a trained vocabulary", "[bpe]") {
  BpeTrainer trainer;
  trainer.add(read_text("README.md"));
  trainer.finish_text();
  const auto bpe = trainer.train(400, [] { return false; }, {std::string(kEndOfText), "<|x|>"});
  REQUIRE(bpe);
  CHECK(bpe->vocab_size() == 400);
  REQUIRE(bpe->specials().size() == 2);
  CHECK(bpe->specials()[0].id == 398);
  CHECK(bpe->bytes_of(399) == "<|x|>");
  CHECK(to_tokenizer_json(parse_bpe(to_tokenizer_json(*bpe), "it")) == to_tokenizer_json(*bpe));
  const std::vector<Token> tokens = encode(*bpe, "the<|endoftext|>", BpeEncoder::Specials::as_tokens);
  CHECK(tokens.back() == 398);
}

TEST_CASE("a vocabulary written is the vocabulary read", "[bpe]") {
  const TemporaryFolder folder;
  for (const char* name : {"tokenizer.json", "split.json"}) {
    const Bpe bpe = read_bpe(kFolder / name);
    write_text(folder.path() / "tokenizer.json", to_tokenizer_json(bpe));
    const Bpe again = read_bpe(folder.path());
    CHECK(to_tokenizer_json(again) == to_tokenizer_json(bpe));
    CHECK(encode(again, "größer than  the 東京 123") == encode(bpe, "größer than  the 東京 123"));
  }
  const Bpe bpe = trained_on(read_text("README.md"), 400);
  const Gpt2Files files = to_gpt2_files(bpe);
  const TemporaryFolder gpt2;
  write_text(gpt2.path() / "vocab.json", files.vocab_json);
  write_text(gpt2.path() / "merges.txt", files.merges_txt);
  CHECK(to_tokenizer_json(read_bpe(gpt2.path())) == to_tokenizer_json(bpe));
  CHECK_THROWS_AS(to_gpt2_files(read_bpe(kFolder / "split.json")), UsageError);
}

TEST_CASE("what is no byte-level BPE is refused by name", "[bpe]") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "tokenizer.json";
  const auto original = nlohmann::json::parse(read_text(kFolder / "tokenizer.json"));
  const auto refuse = [&](const char* pointer, const nlohmann::json& value, const char* message) {
    nlohmann::json changed = original;
    changed[nlohmann::json::json_pointer(pointer)] = value;
    write_text(path, changed.dump());
    INFO(pointer);
    CHECK_THROWS_WITH(read_bpe(path), Contains(message) && Contains(path.native()));
  };
  refuse("/model/type", "WordPiece", "model is WordPiece");
  refuse("/model/type", "Unigram", "model is Unigram");
  refuse("/model/byte_fallback", true, "byte_fallback");
  refuse("/model/ignore_merges", true, "ignore_merges");
  refuse("/normalizer", {{"type", "NFC"}}, "normalizer NFC");
  refuse("/pre_tokenizer", {{"type", "Metaspace"}}, "pre_tokenizer Metaspace");
  refuse("/pre_tokenizer/add_prefix_space", true, "add_prefix_space");
  refuse("/model/merges", {"a b c"}, "merge 0");
  refuse("/model/merges", {"a \xc4\xa0zzz"}, "the vocabulary has no");
  refuse("/model/merges", {1}, "merge 0");
  refuse("/model/vocab", {{"a", 0}}, "merge 0");
  refuse("/model/vocab", {{"a", -1}}, "has id -1");
  refuse("/model/vocab", {{"a", "one"}}, "no whole number");
  refuse("/model/vocab", 7, "must be an object");
  refuse("/added_tokens", {{{"id", 1}}}, "content");
  write_text(path, R"({"model": {"type": "BPE", "type": "BPE"}})");
  CHECK_THROWS_WITH(read_bpe(path), Contains("'type' is there twice"));
  refuse("/added_tokens", {{{"content", "x"}, {"id", 1 << 20}}}, "has id 1048576");
  const nlohmann::json split = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}, {"invert", false}};
  const nlohmann::json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  refuse("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}, "is none from byte 2");
  write_text(path, "{");
  CHECK_THROWS_AS(read_bpe(path), InputError);
  write_text(path, "{}");
  CHECK_THROWS_WITH(read_bpe(path), Contains("it has no 'model'"));
  CHECK_THROWS_AS(read_bpe(folder.path() / "nothing"), InputError);
  write_text(folder.path() / "x.model", "abc");
  CHECK_THROWS_WITH(read_bpe(folder.path() / "x.model"), Contains("SentencePiece"));
  CHECK_THROWS_AS(PieceSplitter("(abc"), UsageError);
}

TEST_CASE("any change of a vocabulary file is read or refused, never more", "[bpe]") {
  const TemporaryFolder folder;
  for (const char* name : {"tokenizer.json", "split.json"}) {
    const std::string whole = read_text(kFolder / name);
    const Rng rng(9, 1);
    int refused = 0;
    for (std::uint64_t i = 0; i < 500; ++i) {
      std::string text = whole;
      for (std::uint64_t k = 0; k <= i % 3; ++k)
        text[rng.below(8 * i + 2 * k, text.size())] = static_cast<char>(rng.bits(8 * i + 2 * k + 1));
      if (i % 7 == 0) text.resize(rng.below(8 * i + 7, text.size()));
      try {
        const Bpe bpe = parse_bpe(text, "it");
        CHECK(decode(bpe, encode(bpe, "the größer")) == "the größer");
      } catch (const InputError& error) {
        ++refused;
        CHECK_THAT(error.what(), Contains("'it'"));
      }
    }
    CHECK(refused > 200);
  }
}

TEST_CASE("vocabularies that contradict themselves are refused", "[bpe]") {
  std::vector<std::string> bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  bytes.emplace_back("ab");
  const auto make = [&](std::vector<Bpe::Merge> merges) { Bpe(bytes, std::move(merges), kGpt2Pieces); };
  CHECK_NOTHROW(make({{'a', 'b', 256}}));
  CHECK_THROWS_WITH(make({{'a', 'c', 256}}), Contains("merge 0"));
  CHECK_THROWS_WITH(make({{'a', 'b', 256}, {'a', 'b', 256}}), Contains("merge 1"));
  CHECK_THROWS_WITH(make({{'a', 'b', 300}}), Contains("300"));
  bytes[65] = "AA";
  CHECK_THROWS_WITH(make({}), Contains("no token for byte 65"));
}
