// A BPE vocabulary from a text.
//
// Source: Sennrich et al. 2016, algorithm 1, on bytes: the most frequent pair of neighbours becomes a token, until there are enough.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/bpe.hpp"

namespace loglog::data {

class BpeTrainer {
 public:
  explicit BpeTrainer(std::string_view expression = kGpt2Pieces) : splitter_(expression) {}

  // Counts the pieces of a text that streams by; memory grows with the different pieces.
  void add(std::string_view chunk);
  void finish_text();  // a text ends here; others may follow

  // Tokens 0..255 are the bytes, then come the merges, then the `specials`; vocab_size holds them all. Of pairs that are equally frequent the one whose left token has the lower
  // number is merged first, then the right one's: the result depends on the texts alone. Fewer tokens than wanted where no pair
  // occurs twice. `stop` may give up (no value).
  std::optional<Bpe> train(
      Token vocab_size, const std::function<bool()>& stop = [] { return false; },
      const std::vector<std::string>& specials = {}) const;

  std::size_t different_pieces() const { return counts_.size(); }

 private:
  PieceSplitter splitter_;
  void count(std::string_view piece);

  std::string waiting_;
  std::unordered_map<std::string, std::int64_t, TextHash, std::equal_to<>> counts_;
};

}  // namespace loglog::data
