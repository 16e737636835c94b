// Text to tokens and back, by the tokenizer that a token file or a vocabulary names.
//
// One class per kind of tokenizer, made from its JSON (docs/formats.md, `tokenizer`):
//   bytes    a token is a byte
//   chars    token i is the i-th of a list of code points
//   bpe      byte-level pair merges, the whole tokenizer.json as one string
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_file.hpp"
#include "data/tokenizer.hpp"

namespace loglog::data {

class Bpe;

// One text after the other as they stream by; tokens do not depend on where a text is cut. The codec outlives it.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  // InputError for a character that the vocabulary lacks.
  virtual void encode(std::string_view chunk, std::vector<Token>& out) = 0;
  virtual void finish(std::vector<Token>& out) = 0;  // this text ends here, another may follow
  virtual const Utf8Decoder* utf8() const {
    return nullptr;
  }  // where characters are looked at: ill-formed ones
};

// Immutable, but for one thread at a time: the matcher of a BPE's expression has a state.
class TextCodec {
 public:
  virtual ~TextCodec() = default;

  virtual Token vocab_size() const = 0;
  virtual std::string bytes_of(Token token) const = 0;  // what it stands for; 0 <= token < vocab_size()
  virtual std::optional<Token> document_end() const {
    return {};
  }  // stands behind each document, where there is one
  virtual std::unique_ptr<TextEncoder> encoder() const = 0;
  virtual nlohmann::json description() const = 0;  // make_codec() of it is an equal codec

  std::optional<Token> line_end() const;  // the token of "\n"

  // A whole text; special tokens in it are read as text. InputError as above, and for ill-formed UTF-8 where characters are looked at.
  std::vector<Token> encode(std::string_view text) const;
};

// `tokenizer` is the entry of that name in a token file. Null where tokens stand for no text: worlds, and the numbers of others
// ("ids"). InputError naming what is wrong, without the file's name.
std::unique_ptr<TextCodec> make_codec(const nlohmann::json& tokenizer);
// Of a model's file, whose text is this JSON: InputError, naming the file, also when there are more tokens than the model has.
std::unique_ptr<TextCodec> parse_codec(const std::string& text, const Path& path, std::int64_t vocabulary);
// Of a token file: InputError names it.
std::unique_ptr<TextCodec> codec_of(const TokenFile& file);

std::unique_ptr<TextCodec> make_bytes_codec();
std::unique_ptr<TextCodec> make_chars_codec(std::vector<Token> code_points);  // InputError: not ascending
std::unique_ptr<TextCodec> make_bpe_codec(Bpe bpe);

// What a token file's JSON says of its tokenizer: tokenizer, line_end, document_end.
void describe_tokenizer(const TextCodec& codec, nlohmann::json& meta);

// "bytes", a vocabulary that read_bpe() reads, or a token file, whose tokenizer is taken. InputError.
std::unique_ptr<TextCodec> read_codec(const std::string& name);

}  // namespace loglog::data
