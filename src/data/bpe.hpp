// Byte-level byte-pair encoding: any bytes to tokens and back, without loss.
//
// Text is first split into pieces by a regular expression; inside a piece, which starts as one token per byte, the two
// neighbours whose merge has the lowest rank become one token, until no neighbours have a merge.
//
// Sources: Sennrich et al. 2016 (pair merges); Radford et al. 2019, section 2.2 (bytes, and the expression of GPT-2).
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/token_file.hpp"

namespace loglog::data {

// The expression of GPT-2: contractions, and words, numbers and other signs with the space before them.
inline constexpr std::string_view kGpt2Pieces =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// The special token between documents, as GPT-2 calls it.
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

// Cuts UTF-8 into the matches of a Perl-compatible expression; what matches nothing, bytes that are no UTF-8 among it, is a piece too.
// A piece that is longer than kLongestPiece is cut there, at a character, and what follows is matched anew.
class PieceSplitter {
 public:
  // Bytes. Text without an end to a piece must cost no time that grows with its square, nor memory that grows with it.
  static constexpr std::size_t kLongestPiece = std::size_t{1} << 14;

  // UsageError naming the place when the expression is none.
  explicit PieceSplitter(std::string_view expression);
  ~PieceSplitter();
  PieceSplitter(PieceSplitter&&) noexcept;
  PieceSplitter& operator=(PieceSplitter&&) noexcept;

  const std::string& expression() const { return expression_; }
  // Calls piece(text) for the pieces of `text` in order. Where it is not the end of a text (`more` follows), stops in front of
  // the first piece that what follows may change, and returns how many bytes were consumed. InputError when the expression tries
  // too many ways to match.
  std::size_t split(std::string_view text, bool more,
                    const std::function<void(std::string_view)>& piece) const;

 private:
  struct Compiled;
  std::string expression_;
  std::unique_ptr<Compiled> compiled_;
};

class Bpe {
 public:
  struct Merge {
    Token left, right, result;
  };
  struct Special {
    std::string text;
    Token id;
  };

  // bytes_of[i] is what token i stands for; every byte has a token. Merges in the order of their ranks. InputError, naming the
  // token or merge, when a byte has none, an id is outside, a merge's result is not its two sides, or a merge comes twice.
  Bpe(std::vector<std::string> bytes_of, std::vector<Merge> merges, std::string_view expression,
      std::vector<Special> specials = {});

  Token vocab_size() const { return static_cast<Token>(bytes_of_.size()); }
  const std::string& bytes_of(Token token) const { return bytes_of_[static_cast<std::size_t>(token)]; }
  const std::vector<Merge>& merges() const { return merges_; }
  const std::vector<Special>& specials() const { return specials_; }
  const PieceSplitter& splitter() const { return splitter_; }

  // Appends the tokens of one piece; at most kLongestPiece bytes.
  void encode_piece(std::string_view piece, std::vector<Token>& out) const;

 private:
  struct Ranked {
    Token rank, result;
  };
  const Ranked* merge_of(Token left, Token right) const;

  std::vector<std::string> bytes_of_;
  std::vector<Merge> merges_;
  std::vector<Special> specials_;
  PieceSplitter splitter_;
  Token token_of_byte_[256];
  std::unordered_map<std::uint64_t, Ranked> ranked_;  // by both sides
};

// Lets a map of texts be asked with a part of another text.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

// Encodes a text that streams by; tokens do not depend on where it is cut. The text of a special token is text. Remembers frequent
// pieces.
class BpeEncoder {
 public:
  explicit BpeEncoder(const Bpe& bpe) : bpe_(bpe) {}

  void encode(std::string_view chunk, std::vector<Token>& out);
  void finish(std::vector<Token>& out);  // the text ends here

 private:
  void encode_pieces(bool more, std::vector<Token>& out);
  void append_piece(std::string_view piece, std::vector<Token>& out);

  const Bpe& bpe_;
  std::string waiting_;  // bytes whose pieces are not certain yet
  std::unordered_map<std::string, std::vector<Token>, TextHash, std::equal_to<>> known_;
};

}  // namespace loglog::data
