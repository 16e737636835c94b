// How much of the validation text was also trained on.
#pragma once
#include <cstdint>

#include "data/split.hpp"
#include "data/token_file.hpp"

namespace loglog::data {

struct Overlap {
  std::uint64_t examined = 0;  // validation sequences looked up
  std::uint64_t found = 0;     // of these, in the training part too
  std::uint64_t one_in = 1;    // sampling: sequences whose hash is divisible by this
  double share() const noexcept {
    return examined == 0 ? 0.0 : static_cast<double>(found) / static_cast<double>(examined);
  }
};

inline constexpr double kOverlapWarning = 0.02;

// Share of the 10-word sequences of the validation part that also occur in the training part. Words are runs
// of tokens between white space; sequences stay inside one range. They are compared by 64-bit hashes, and
// above about 4 million of them only those are kept whose hash falls into a sample. Worlds have no words: 0.
Overlap ten_gram_overlap(const TokenFile& file, const SplitRanges& split);

}  // namespace loglog::data
