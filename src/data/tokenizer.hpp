// Tokenizers: text to numbers, as it streams by.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_file.hpp"

namespace loglog::data {

inline constexpr Token kReplacementCharacter = 0xFFFD;
inline constexpr Token kCodePointLimit = 0x110000;

// Splits UTF-8 into code points over chunk borders. An ill-formed sequence becomes one U+FFFD for its longest
// part that could have begun a character (Unicode 15, section 3.9, "maximal subpart"), and is counted.
class Utf8Decoder {
 public:
  void decode(std::string_view chunk, std::vector<Token>& out);
  void finish(std::vector<Token>& out);  // the text ends here, perhaps inside a character

  std::uint64_t errors() const noexcept { return errors_; }
  std::uint64_t first_error() const noexcept { return first_error_; }  // byte offset since construction

 private:
  void reject(std::vector<Token>& out);

  Token code_point_ = 0;
  int missing_ = 0;           // continuation bytes still expected
  unsigned char low_ = 0x80;  // allowed range of the next continuation byte
  unsigned char high_ = 0xBF;
  std::uint64_t offset_ = 0;
  std::uint64_t sequence_begin_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t first_error_ = 0;
};

// The characters of a corpus, sorted by code point: token i is code_points[i].
struct CharVocabulary {
  std::vector<Token> code_points;
  std::vector<Token> ids;  // by code point; -1 where absent
};
CharVocabulary make_vocabulary(const std::vector<bool>& seen);  // seen[code point]

std::string encode_utf8(Token code_point);

}  // namespace loglog::data
