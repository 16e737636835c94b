#include "data/text_codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "data/bpe.hpp"
#include "data/bpe_files.hpp"

namespace loglog::data {
namespace {

class BytesEncoder final : public TextEncoder {
 public:
  void encode(std::string_view chunk, std::vector<Token>& out) override {
    for (const char c : chunk) out.push_back(static_cast<unsigned char>(c));
  }
  void finish(std::vector<Token>&) override {}
};

class BytesCodec final : public TextCodec {
 public:
  Token vocab_size() const override { return 256; }
  std::string bytes_of(Token token) const override { return {static_cast<char>(token)}; }
  std::unique_ptr<TextEncoder> encoder() const override { return std::make_unique<BytesEncoder>(); }
  nlohmann::json description() const override { return {{"kind", "bytes"}}; }
};

class CharsEncoder final : public TextEncoder {
 public:
  explicit CharsEncoder(const CharVocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void encode(std::string_view chunk, std::vector<Token>& out) override {
    code_points_.clear();
    utf8_.decode(chunk, code_points_);
    number(out);
  }
  void finish(std::vector<Token>& out) override {
    code_points_.clear();
    utf8_.finish(code_points_);
    number(out);
  }
  const Utf8Decoder* utf8() const override { return &utf8_; }

 private:
  void number(std::vector<Token>& out) const {
    for (const Token c : code_points_) {
      const Token id = vocabulary_.ids[static_cast<std::size_t>(c)];
      if (id < 0)
        throw InputError(fmt::format("character U+{:04X} '{}' is not among the {} of the tokenizer", c,
                                     encode_utf8(c), vocabulary_.code_points.size()));
      out.push_back(id);
    }
  }

  const CharVocabulary& vocabulary_;
  Utf8Decoder utf8_;
  std::vector<Token> code_points_;
};

class CharsCodec final : public TextCodec {
 public:
  explicit CharsCodec(std::vector<Token> code_points) {
    vocabulary_.ids.assign(kCodePointLimit, -1);
    Token last = -1;
    for (const Token c : code_points) {
      if (c <= last || c >= kCodePointLimit)
        throw InputError(
            fmt::format("code_points: {} behind {}, must ascend below {}", c, last, kCodePointLimit));
      vocabulary_.ids[static_cast<std::size_t>(c)] = static_cast<Token>(vocabulary_.code_points.size());
      vocabulary_.code_points.push_back(last = c);
    }
  }
  Token vocab_size() const override { return static_cast<Token>(vocabulary_.code_points.size()); }
  std::string bytes_of(Token token) const override {
    return encode_utf8(vocabulary_.code_points[static_cast<std::size_t>(token)]);
  }
  std::unique_ptr<TextEncoder> encoder() const override {
    return std::make_unique<CharsEncoder>(vocabulary_);
  }
  nlohmann::json description() const override {
    return {{"kind", "chars"}, {"code_points", vocabulary_.code_points}};
  }

 private:
  CharVocabulary vocabulary_;
};

class PairEncoder final : public TextEncoder {
 public:
  explicit PairEncoder(const Bpe& bpe) : encoder_(bpe) {}
  void encode(std::string_view chunk, std::vector<Token>& out) override { encoder_.encode(chunk, out); }
  void finish(std::vector<Token>& out) override { encoder_.finish(out); }

 private:
  BpeEncoder encoder_;
};

class BpeCodec final : public TextCodec {
 public:
  explicit BpeCodec(Bpe bpe) : bpe_(std::move(bpe)) {}
  Token vocab_size() const override { return bpe_.vocab_size(); }
  std::string bytes_of(Token token) const override { return bpe_.bytes_of(token); }
  // By the name that GPT-2 gave it, and that most vocabularies kept.
  std::optional<Token> document_end() const override {
    for (const Bpe::Special& special : bpe_.specials())
      if (special.text == kEndOfText) return special.id;
    return {};
  }
  std::unique_ptr<TextEncoder> encoder() const override { return std::make_unique<PairEncoder>(bpe_); }
  nlohmann::json description() const override {
    return {{"kind", "bpe"}, {"tokenizer_json", to_tokenizer_json(bpe_)}};
  }

 private:
  Bpe bpe_;
};

bool is_token_file(const Path& path) {
  std::error_code no_folder;
  if (std::filesystem::is_directory(path, no_folder)) return false;
  const MappedFile file = map_input(path);
  constexpr std::size_t kMagic = sizeof kTokenFileMagic;
  return file.bytes().size() >= kMagic && std::memcmp(file.bytes().data(), kTokenFileMagic, kMagic) == 0;
}

}  // namespace

std::optional<Token> TextCodec::line_end() const {
  for (Token token = 0; token < vocab_size(); ++token)
    if (bytes_of(token) == "\n") return token;
  return {};
}

std::vector<Token> TextCodec::encode(std::string_view text) const {
  std::vector<Token> tokens;
  const auto stream = encoder();
  stream->encode(text, tokens);
  stream->finish(tokens);
  if (const Utf8Decoder* utf8 = stream->utf8(); utf8 != nullptr && utf8->errors() > 0)
    throw InputError(fmt::format("the text is not valid UTF-8 from byte {} on", utf8->first_error()));
  return tokens;
}

std::unique_ptr<TextCodec> make_bytes_codec() {
  return std::make_unique<BytesCodec>();
}

std::unique_ptr<TextCodec> make_chars_codec(std::vector<Token> code_points) {
  return std::make_unique<CharsCodec>(std::move(code_points));
}

std::unique_ptr<TextCodec> make_bpe_codec(Bpe bpe) {
  return std::make_unique<BpeCodec>(std::move(bpe));
}

std::unique_ptr<TextCodec> make_codec(const nlohmann::json& tokenizer) {
  try {
    const auto kind = tokenizer.at("kind").get<std::string>();
    if (kind == "world" || kind == "ids") return nullptr;
    if (kind == "bytes") return make_bytes_codec();
    if (kind == "chars") return make_chars_codec(tokenizer.at("code_points").get<std::vector<Token>>());
    if (kind == "bpe")
      return make_bpe_codec(parse_bpe(tokenizer.at("tokenizer_json").get<std::string>(), "tokenizer_json"));
    throw InputError(fmt::format("kind '{}', known are bytes, chars, bpe, world, ids", kind));
  } catch (const nlohmann::json::exception& error) {
    throw InputError(error.what());
  }
}

std::unique_ptr<TextCodec> parse_codec(const std::string& text, const Path& path, std::int64_t vocabulary) {
  try {
    // A copy of something deep could use up the stack: what holds a value of each kind has two levels.
    const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
      constexpr int kDeepest = 8;
      if (depth > kDeepest) throw InputError(fmt::format("more than {} levels", kDeepest));
      return true;
    };
    auto codec = make_codec(nlohmann::json::parse(text, shallow));
    if (codec != nullptr && codec->vocab_size() > vocabulary)
      throw InputError(fmt::format("{} tokens, the model has {}", codec->vocab_size(), vocabulary));
    return codec;
  } catch (const nlohmann::json::exception& error) {
    throw InputError(fmt::format("'{}': no JSON: {}", path.native(), error.what()));
  } catch (const InputError& error) {
    throw InputError(fmt::format("'{}': {}", path.native(), error.what()));
  }
}

std::unique_ptr<TextCodec> codec_of(const TokenFile& file) {
  try {
    const nlohmann::json meta = file.meta();
    auto codec = make_codec(meta.value("tokenizer", nlohmann::json::object()));
    if (codec != nullptr && static_cast<std::uint64_t>(codec->vocab_size()) != file.vocab_size())
      throw InputError(
          fmt::format("{} tokens, the vocabulary has {}", codec->vocab_size(), file.vocab_size()));
    return codec;
  } catch (const InputError& error) {
    throw InputError(fmt::format("'{}': header field 'tokenizer': {}", file.path().native(), error.what()));
  }
}

void describe_tokenizer(const TextCodec& codec, nlohmann::json& meta) {
  meta["tokenizer"] = codec.description();
  if (const auto token = codec.line_end()) meta["line_end"] = *token;
  if (const auto token = codec.document_end()) meta["document_end"] = *token;
}

std::unique_ptr<TextCodec> read_codec(const std::string& name) {
  if (name == "bytes") return make_bytes_codec();
  if (!is_token_file(name)) return make_bpe_codec(read_bpe(name));
  const TokenFile file = TokenFile::open(name);
  auto codec = codec_of(file);
  if (codec == nullptr)
    throw InputError(fmt::format("'{}' has no tokenizer to take: its tokens stand for no text", name));
  return codec;
}

}  // namespace loglog::data
