#include "data/tokenizer.hpp"

namespace loglog::data {

void Utf8Decoder::reject(std::vector<Token>& out) {
  if (errors_++ == 0) first_error_ = sequence_begin_;
  out.push_back(kReplacementCharacter);
  missing_ = 0;
}

void Utf8Decoder::decode(std::string_view chunk, std::vector<Token>& out) {
  for (const char character : chunk) {
    const auto byte = static_cast<unsigned char>(character);
    if (missing_ > 0) {
      if (byte >= low_ && byte <= high_) {
        code_point_ = code_point_ << 6 | (byte & 0x3F);
        low_ = 0x80;
        high_ = 0xBF;
        if (--missing_ == 0) out.push_back(code_point_);
        ++offset_;
        continue;
      }
      reject(out);  // and look at this byte again, as the start of a character
    }
    sequence_begin_ = offset_++;
    low_ = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;   // shorter forms exist
    high_ = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;  // surrogates; beyond U+10FFFF
    if (byte < 0x80) {
      out.push_back(byte);
    } else if (byte >= 0xC2 && byte <= 0xDF) {
      code_point_ = byte & 0x1F;
      missing_ = 1;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
      code_point_ = byte & 0x0F;
      missing_ = 2;
    } else if (byte >= 0xF0 && byte <= 0xF4) {
      code_point_ = byte & 0x07;
      missing_ = 3;
    } else {
      reject(out);
    }
  }
}

void Utf8Decoder::finish(std::vector<Token>& out) {
  if (missing_ > 0) reject(out);
}

CharVocabulary make_vocabulary(const std::vector<bool>& seen) {
  CharVocabulary vocabulary;
  vocabulary.ids.assign(seen.size(), -1);
  for (std::size_t c = 0; c < seen.size(); ++c) {
    if (!seen[c]) continue;
    vocabulary.ids[c] = static_cast<Token>(vocabulary.code_points.size());
    vocabulary.code_points.push_back(static_cast<Token>(c));
  }
  return vocabulary;
}

std::string encode_utf8(Token c) {
  const auto byte = [](Token value) { return static_cast<char>(value); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
  if (c < 0x10000) return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
  return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)),
          byte(0x80 | (c & 0x3F))};
}

}  // namespace loglog::data
