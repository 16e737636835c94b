// contexts: Zipf-weighted facts. The world whose loss falls as a power of model size and data.
//
// The text is an endless row of independent facts. Fact k of K is a_k b_k y_k1 .. y_km: a name of two tokens
// (the digits of k) and m values, fixed once at random among V. It occurs with p_k proportional to
// k^-(1 + alpha). Names are as unpredictable as their frequencies and stay so; the values of a fact are free
// of entropy for whoever remembers it and cost ln V each for whoever does not. A model with room or exposure
// for the n most frequent facts lacks sum_{k>n} p_k ~ n^-alpha of them, so, with n growing as a power of N or D,
//   L - E ~ N^-alpha,   L - E ~ D^-(alpha / (1 + alpha))
// (the quantization model: Michaud, Liu, Girit, Tegmark 2023, sections 2 and 3), down to the facts' number K.
//
// With P = m + 2 tokens per fact, the phase of the window uniform, and H(i, j) the entropy of the tokens
// [i, j) of a random fact (facts that agree there counted together):
//   entropy rate  h = H(0, P) / P = H(p) / P
//   H(X_1..X_T)     = ln P + mean over phases of [ H(phase, P) + full facts * H(0, P) + H(0, rest) ],  T >= P
// because a window of P tokens shows an `a` and so its phase.
#pragma once
#include <unordered_map>

#include "data/worlds/world.hpp"

namespace loglog::data {

WorldKind contexts_kind();

struct ContextsParameters {
  std::uint64_t facts = 0;   // K
  std::uint64_t values = 0;  // V
  std::uint64_t length = 0;  // m
  double alpha = 0;
};

class ContextsWorld final : public World {
 public:
  ContextsWorld(const ContextsParameters& parameters, std::uint64_t seed);

  std::uint64_t vocab_size() const override { return 2 * digits_ + parameters_.values; }
  double entropy_rate() const override;
  std::optional<double> block_entropy(std::uint64_t tokens) const override;
  void log_probs(std::span<const Token> window, std::span<double> out) const override;
  void generate(const Rng& rng, std::uint64_t count, const std::function<void(Token)>& emit) const override;

 private:
  std::span<const Token> fact(std::uint64_t k) const {
    return std::span(tokens_).subspan(k * period_, period_);
  }
  double part_entropy(std::size_t begin, std::size_t end) const;

  ContextsParameters parameters_;
  std::uint64_t digits_;  // names use tokens 0..digits-1 for a, digits..2 digits-1 for b
  std::size_t period_;    // P
  std::vector<double> probabilities_;
  std::vector<Token> tokens_;  // (K, P)
  // Probability that a random fact has these tokens at [begin, end), by a key of begin and tokens.
  std::unordered_map<std::string, double> masses_;
};

}  // namespace loglog::data
