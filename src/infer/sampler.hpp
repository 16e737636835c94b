// Draws the next token from logits.
//
// In this order: temperature, the k most probable tokens, of these the fewest whose probabilities sum to p (Holtzman et al. 2020,
// "nucleus"). Tokens of equal logits rank by their number. What is left is drawn by its probabilities.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/matrix.hpp"
#include "kernels/rowwise/token.hpp"

namespace loglog::infer {

struct Sampling {
  double temperature = 1;    // 0: always the most probable token
  kernels::Index top_k = 0;  // 0: all
  double top_p = 1;          // 0 < p <= 1
  std::uint64_t seed = 1;
};

class Sampler {
 public:
  // UsageError, naming the option, for a temperature below 0, k below 0, or p outside (0, 1].
  explicit Sampler(const Sampling& sampling);

  // The token number `index` of a sequence. Depends on the logits, the seed, `sequence` and `index`, and on nothing else.
  // Error (exit 5) for logits that are not finite.
  kernels::Token draw(std::span<const float> logits, std::uint64_t sequence, std::uint64_t index);

  // A token and its share of what may be drawn; the shares sum to 1 but for rounding.
  struct Candidate {
    kernels::Token token;
    double probability;
  };
  // What may be drawn, the most probable first unless everything may. Valid until the next call.
  std::span<const Candidate> candidates(std::span<const float> logits);

 private:
  void rank(std::span<const float> logits, std::size_t count);
  void keep_nucleus(std::span<const float> logits);
  void rank_from(std::span<const float> logits, std::size_t first, std::size_t end);

  Sampling sampling_;
  std::vector<Candidate> candidates_;
};

// The most probable token, the first of several.
kernels::Token most_probable(std::span<const float> logits);

}  // namespace loglog::infer
