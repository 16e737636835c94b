// How noisy the gradient is, from the norms at two batch sizes that every step with several micro-batches has anyway:
//
//   |G|^2 = (B |G_B|^2 - b |G_b|^2) / (B - b)       the gradient itself, without noise
//   S     = (|G_b|^2 - |G_B|^2) / (1/b - 1/B)       sum of the variances of its elements, for a batch of one token
//   S / |G|^2                                       tokens at which both weigh the same: the simple noise scale
//
// G_B is the gradient of a step's batch of B tokens, G_b that of its first micro-batch of b. The estimates of one step are noisy, and
// may be negative: they are averaged before they are divided.
//
// Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1.
#pragma once
#include <optional>

namespace loglog::train {

class NoiseScale {
 public:
  // Decaying sums of the two and of their weights: all that a checkpoint holds of it.
  struct Sums {
    double signal = 0;  // of |G|^2
    double noise = 0;   // of S
    double weight = 0;
  };
  NoiseScale() = default;
  explicit NoiseScale(const Sums& sums) : sums_(sums) {}

  // Norms before clipping, tokens of each; small_tokens < big_tokens.
  void add(double small_norm, double small_tokens, double big_norm, double big_tokens);
  // Tokens; nothing before the first step, and where the average gradient is not above its noise.
  std::optional<double> tokens() const;
  const Sums& sums() const { return sums_; }

 private:
  Sums sums_;
};

}  // namespace loglog::train
