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

std::vector<Token> encode(const Bpe& bpe, std::string_view text) {
  BpeEncoder encoder(bpe);
  std::vector<Token> tokens;
  encoder.encode(text, tokens);
  encoder.finish(tokens);
  return tokens;
}

// As Hugging Face does it: the text of a special token is that token.
std::vector<Token> encode_with_specials(const Bpe& bpe, std::string_view text) {
  const Bpe::Special& special = bpe.specials().at(0);
  std::vector<Token> tokens;
  for (std::size_t at; (at = text.find(special.text)) != std::string_view::npos;
       text.remove_prefix(at + special.text.size())) {
    for (const Token token : encode(bpe, text.substr(0, at))) tokens.push_back(token);
    tokens.push_back(special.id);
  }
  for (const Token token : encode(bpe, text)) tokens.push_back(token);
  return tokens;
}

std::vector<Token> encode_in_parts(const Bpe& bpe, std::string_view text, std::size_t step) {
  BpeEncoder encoder(bpe);
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < text.size(); at += step) encoder.encode(text.substr(at, step), tokens);
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
    CHECK(encode_with_specials(plain, text) == expected["plain"].get<std::vector<Token>>());
    CHECK(encode_with_specials(split, text) == expected["split"].get<std::vector<Token>>());
    CHECK(encode(gpt2, text) == encode(plain, text));
    CHECK(decode(plain, encode(plain, text)) == text);
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
  const std::vector<Token> whole = encode(bpe, text);
  REQUIRE(decode(bpe, whole) == text);
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100}, std::size_t{4096}}) {
    CAPTURE(step);
    CHECK(encode_in_parts(bpe, text, step) == whole);
  }
}

// Were a piece looked at from its beginning whenever more of it came, this would take minutes.
TEST_CASE("a long piece takes no time that grows with its square, nor does one that comes in parts",
          "[bpe]") {
  const Bpe bpe = trained_on(std::string(1000, 'a'), 262);
  const std::string text(1 << 20, 'a');
  const std::vector<Token> tokens = encode(bpe, text);
  CHECK(tokens.size() == text.size() / 64);  // six doublings
  CHECK(decode(bpe, tokens) == text);
  for (const std::size_t step : {std::size_t{100}, std::size_t{1} << 18})
    CHECK(encode_in_parts(bpe, text, step) == tokens);
}

TEST_CASE("pieces have at most their longest, cut at a character, wherever a stream is cut", "[bpe]") {
  constexpr std::size_t kLongest = PieceSplitter::kLongestPiece;
  const PieceSplitter splitter(kGpt2Pieces);
  const auto pieces_of = [&](const std::string& text, std::size_t step) {
    std::vector<std::string> pieces;
    std::string waiting;
    for (std::size_t at = 0; at < text.size(); at += step) {
      waiting += text.substr(at, step);
      const bool more = at + step < text.size();
      waiting.erase(
          0, splitter.split(waiting, more, [&](std::string_view piece) { pieces.emplace_back(piece); }));
    }
    CHECK(waiting.empty());
    return pieces;
  };
  std::string accents = "x";  // an odd place for every character of two bytes
  while (accents.size() < 2 * kLongest) accents += "\u00e9";
  for (const std::string& text :
       {accents, "a b" + accents + " c", std::string(kLongest, 'a') + " b",
        std::string(kLongest + 1, 'a') + " b", std::string(kLongest + 40, ' ') + "b",
        std::string(3 * kLongest, '\xff') + "a b"}) {
    const std::vector<std::string> pieces = pieces_of(text, text.size());
    std::string together;
    for (const std::string& piece : pieces) {
      together += piece;
      CHECK(piece.size() <= kLongest);
      if (text.find('\xff') == std::string::npos) CHECK((piece[0] & 0xC0) != 0x80);
    }
    CHECK(together == text);
    for (const std::size_t step : {std::size_t{997}, kLongest - 1, kLongest, kLongest + 31}) {
      CAPTURE(step);
      CHECK(pieces_of(text, step) == pieces);
    }
  }
  CHECK(pieces_of(std::string(kLongest, 'a') + " b", 5000).size() == 2);
}

TEST_CASE("an expression that tries too much is refused, one that looks far ahead comes to an end", "[bpe]") {
  const auto pieces = [](const char* expression, const std::string& text) {
    std::size_t count = 0;
    PieceSplitter(expression).split(text, false, [&](std::string_view) { ++count; });
    return count;
  };
  CHECK_THROWS_WITH(pieces("(a+a+)+[bc]", std::string(1000, 'a')), Contains("too many ways"));
  CHECK_THROWS_AS(pieces("(a+a+)+[bc]", std::string(1000, 'a')), InputError);
  CHECK(pieces("(?s)(?=(.*?)\\x01)", std::string(100'000, 'a')) == 7);
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
  CHECK(decode(*bpe, encode(*bpe, "the<|endoftext|>")) == "the<|endoftext|>");
  CHECK(encode(*bpe, "the<|endoftext|>").back() != 398);  // in a text it is text
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
  refuse("/model/dropout", 0.1, "dropout 0.1");
  refuse("/added_tokens", {{{"id", 1}}}, "content");
  for (const char* way : {"lstrip", "rstrip", "single_word"})
    refuse("/added_tokens", {{{"content", "<x>"}, {"id", 0}, {way, true}}}, way);
  refuse("/added_tokens", {{{"content", "<x>"}, {"id", 0}, {"special", false}}}, "'<x>' is not special");
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

// 160,000 levels end the stack of whatever goes down them.
TEST_CASE("a vocabulary that is nested deeply is refused wherever that is", "[bpe]") {
  constexpr int kLevels = 80'000;
  const std::string deep = std::string(kLevels, '[') + std::string(kLevels, ']');
  for (const char* field : {"normalizer", "pre_tokenizer", "added_tokens", "other"}) {
    INFO(field);
    const std::string text = std::string("{\"model\":{\"type\":\"BPE\"},\"") + field + "\":" + deep + "}";
    CHECK_THROWS_WITH(parse_bpe(text, "it"), Contains("'it': more than 32 levels"));
  }
  CHECK_THROWS_WITH(parse_bpe("{\"model\":" + deep + "}", "it"), Contains("more than 32 levels"));
  CHECK_THROWS_WITH(parse_bpe("{\"model\":{\"merges\":" + deep + "}}", "it"),
                    Contains("more than 32 levels"));
  CHECK_THROWS_AS(parse_bpe("{\"model\":" + std::string(kLevels, '['), "it"), InputError);
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
