// Small token files for tests.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "data/text_codec.hpp"
#include "data/token_writer.hpp"

namespace loglog::data {

struct NamedText {
  std::string name;
  std::string text;
};

inline std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  return tokens;
}

inline std::string decoded(const TextCodec& codec, std::span<const Token> tokens) {
  std::string text;
  for (const Token token : tokens) text += codec.bytes_of(token);
  return text;
}

// Bytes as tokens, line end '\n'.
inline TokenFile write_bytes(const Path& path, const std::vector<NamedText>& sources) {
  TokenWriter writer(real_file_system(), path, 1);
  for (const NamedText& source : sources) {
    writer.begin_source(source.name);
    writer.append(tokens_of(source.text));
    writer.end_document();
  }
  writer.finish(256, {{"line_end", '\n'}});
  return TokenFile::open(path);
}

inline TokenFile write_tokens(const Path& path, const std::vector<Token>& tokens, std::uint64_t vocab_size) {
  TokenWriter writer(real_file_system(), path, 4);
  writer.begin_source("only");
  writer.append(tokens);
  writer.finish(vocab_size, nlohmann::json::object());
  return TokenFile::open(path);
}

}  // namespace loglog::data
