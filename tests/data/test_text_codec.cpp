// Text codecs: round trips, descriptions that make the same codec again, and what is refused.
#include "data/text_codec.hpp"

#include "base/error.hpp"
#include "data/bpe.hpp"
#include "data/bpe_files.hpp"
#include "data/import.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;
using Catch::Contains;

namespace {

const std::string kBpe = "tests/reference/bpe/tokenizer.json";

}  // namespace

TEST_CASE("what is encoded comes back, by a codec and by one made from its description") {
  std::vector<std::unique_ptr<TextCodec>> codecs;
  codecs.push_back(make_bytes_codec());
  codecs.push_back(make_chars_codec({'\n', ' ', 'a', 'b', 0xe4, 0x1F600}));
  codecs.push_back(read_codec(kBpe));
  const std::string text = "ab ba\nä😀 b";
  for (const auto& codec : codecs) {
    const nlohmann::json description = codec->description();
    INFO(description["kind"]);
    const auto again = make_codec(nlohmann::json::parse(description.dump()));
    const std::vector<Token> tokens = codec->encode(text);
    CHECK(decoded(*codec, tokens) == text);
    CHECK(again->encode(text) == tokens);
    CHECK(again->vocab_size() == codec->vocab_size());
    CHECK(again->document_end() == codec->document_end());
    CHECK(again->description() == description);
    CHECK(codec->bytes_of(*codec->line_end()) == "\n");
  }
  CHECK(codecs[0]->encode("a\xff") == std::vector<Token>{'a', 255});
  CHECK(codecs[1]->encode("b\n") == std::vector<Token>{3, 0});
  CHECK(codecs[2]->bytes_of(*codecs[2]->document_end()) == kEndOfText);
  CHECK_FALSE(codecs[0]->document_end());
}

TEST_CASE("an encoder takes one text after the other, cut anywhere") {
  const std::string text = "größer than\n the other";
  for (const char* name : {"bytes", kBpe.c_str()}) {
    const auto codec = read_codec(name);
    const auto encoder = codec->encoder();
    std::vector<Token> tokens, expected = codec->encode(text);
    for (int i = 0; i < 2; ++i) {
      for (const char c : text) encoder->encode({&c, 1}, tokens);
      encoder->finish(tokens);
    }
    const std::vector<Token> once = expected;
    expected.insert(expected.end(), once.begin(), once.end());
    CHECK(tokens == expected);
  }
}

TEST_CASE("characters that the vocabulary lacks and bytes that are none are refused") {
  const auto codec = make_chars_codec({'a', 'b'});
  CHECK_THROWS_WITH(codec->encode("abc"), Contains("U+0063 'c'") && Contains("2 of the tokenizer"));
  CHECK_THROWS_WITH(make_chars_codec({0xFFFD, 0x10000})->encode("\xff"), Contains("UTF-8 from byte 0"));
  CHECK_THROWS_AS(make_chars_codec({'b', 'a'}), InputError);
  CHECK_THROWS_AS(make_chars_codec({'a', 'a'}), InputError);
  CHECK_THROWS_AS(make_chars_codec({-5}), InputError);
  CHECK_THROWS_AS(make_chars_codec({kCodePointLimit}), InputError);
}

TEST_CASE("worlds and the numbers of others stand for no text, unknown kinds are refused") {
  CHECK(make_codec({{"kind", "world"}}) == nullptr);
  CHECK(make_codec({{"kind", "ids"}}) == nullptr);
  CHECK_THROWS_WITH(make_codec({{"kind", "words"}}), Contains("'words', known are bytes"));
  for (const char* bad :
       {"{}", "[]", "3", R"({"kind": 1})", R"({"kind": "chars"})",
        R"({"kind": "chars", "code_points": ["a"]})", R"({"kind": "bpe"})",
        R"({"kind": "bpe", "tokenizer_json": "{}"})", R"({"kind": "bpe", "tokenizer_json": 3})"}) {
    INFO(bad);
    CHECK_THROWS_AS(make_codec(nlohmann::json::parse(bad)), InputError);
  }
}

TEST_CASE("the codec of a model's file is refused by the file's name") {
  const Path path = "folder/codec.json";
  CHECK(parse_codec(R"({"kind":"bytes"})", path, 256)->vocab_size() == 256);
  CHECK(parse_codec(R"({"kind":"bytes"})", path, 300)->vocab_size() == 256);  // rows that no text has
  CHECK(parse_codec(R"({"kind":"ids"})", path, 1) == nullptr);
  const std::string deep = std::string(80'000, '[') + std::string(80'000, ']');
  for (const auto& [text, says] : {std::pair<std::string, const char*>{"", "no JSON"},
                                   {"{\"kind\":\"bytes\"} x", "no JSON"},
                                   {"{\"kind\":\"words\"}", "kind 'words'"},
                                   {"{\"kind\":\"bytes\"}", "256 tokens, the model has 255"},
                                   {"{\"kind\":\"bpe\",\"tokenizer_json\":\"{}\"}", "no 'model'"},
                                   {"{\"kind\":" + deep + "}", "levels"},
                                   {"{\"kind\":\"chars\",\"code_points\":" + deep + "}", "levels"}}) {
    INFO(text.substr(0, 80));
    CHECK_THROWS_AS(parse_codec(text, path, 255), InputError);
    CHECK_THROWS_WITH(parse_codec(text, path, 255), Contains("'folder/codec.json': ") && Contains(says));
  }
}

TEST_CASE("a token file gives its tokenizer away, where it has one") {
  const TemporaryFolder folder;
  write_atomically(real_file_system(), folder.path() / "t", "some text of the README\n");
  ImportOptions options;
  options.tokenizer = kBpe;
  options.sources = {{"t", folder.path() / "t"}};
  const Path tok = folder.path() / "t.tok";
  const TokenFile file = import_text(real_file_system(), options, tok);
  CHECK(read_codec(tok.native())->description() == read_codec(kBpe)->description());
  CHECK(codec_of(file)->vocab_size() == static_cast<Token>(file.vocab_size()));
  CHECK_THROWS_AS(read_codec((folder.path() / "absent").native()), InputError);
  CHECK_THROWS_WITH(read_codec((folder.path() / "t").native()), Contains("no JSON"));
}
