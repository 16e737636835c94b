// markov: a chain of order k over V tokens. The learnable null: once a model holds the table, its loss is the
// entropy rate and stays there, so no power law of size must be found.
//
// Transition rows p(x | c), c the last k tokens, are Dirichlet draws. With the stationary distribution pi
// over contexts (power iteration):
//   entropy rate           h = sum_c pi(c) H(p(. | c))
//   H(X_1..X_T)              = H(pi over k tokens) + (T - k) h        for T >= k, marginals of pi below
// A window's first k tokens are predicted from the marginals of pi.
#pragma once
#include "data/worlds/world.hpp"

namespace loglog::data {

WorldKind markov_kind();

class MarkovWorld final : public World {
 public:
  MarkovWorld(std::uint64_t vocab, int order, double concentration, std::uint64_t seed);
  // For tests: rows (V^k, V), context index = digits base V, oldest token first.
  MarkovWorld(std::uint64_t vocab, int order, std::vector<double> rows);

  std::uint64_t vocab_size() const override { return vocab_; }
  double entropy_rate() const override { return rate_; }
  std::optional<double> block_entropy(std::uint64_t tokens) const override;
  void log_probs(std::span<const Token> window, std::span<double> out) const override;
  void generate(const Rng& rng, std::uint64_t count, const std::function<void(Token)>& emit) const override;

 private:
  void solve();

  std::uint64_t vocab_;
  int order_;
  std::vector<double> rows_;                    // (V^k, V)
  std::vector<std::vector<double>> marginals_;  // [n]: probabilities of the V^n words of n tokens, n = 0..k
  double rate_ = 0;
};

}  // namespace loglog::data
