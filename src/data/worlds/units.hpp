// Worlds whose text is an endless row of independent units: what they share.
//
// A window begins at a random place of a unit: with units of P tokens, at each of the P phases alike. Whoever sees the window
// knows the phase only when the tokens say it, so all phases are followed, each with its probability.
#pragma once
#include <string>
#include <unordered_map>

#include "data/worlds/world.hpp"

namespace loglog::data {

// ln of the probability that a random unit has `tokens` at its places [begin, begin + tokens.size()); -infinity: never.
using UnitLogMass = std::function<double(std::size_t begin, std::span<const Token> tokens)>;

// World::log_probs() for units of `period` tokens.
void unit_log_probs(std::size_t period, const UnitLogMass& log_mass, std::span<const Token> window,
                    std::span<double> out);

// Units that are drawn from a list.
//
// With P tokens per unit, the phase of the window uniform, and H(i, j) the entropy of the tokens [i, j) of a random unit (units
// that agree there counted together):
//   entropy rate  h = H(0, P) / P
//   H(X_1..X_T)     = ln P + mean over phases of [ H(phase, P) + whole units * H(0, P) + H(0, rest) ],  T >= P
// where every window of P tokens shows the phase, for instance by a token that stands at one place of a unit alone.
class UnitWorld : public World {
 public:
  // `tokens` (probabilities.size(), period): different units.
  UnitWorld(std::uint64_t vocab, std::size_t period, std::vector<double> probabilities,
            std::vector<Token> tokens);

  std::uint64_t vocab_size() const override { return vocab_; }
  double entropy_rate() const override;
  std::optional<double> block_entropy(std::uint64_t tokens) const override;
  void log_probs(std::span<const Token> window, std::span<double> out) const override;
  void generate(const Rng& rng, std::uint64_t count, const std::function<void(Token)>& emit) const override;

  std::size_t period() const { return period_; }
  std::span<const Token> unit(std::size_t i) const {
    return std::span(tokens_).subspan(i * period_, period_);
  }
  double probability(std::size_t i) const { return probabilities_[i]; }

 protected:
  // How often generate() of these arguments writes each unit.
  std::vector<std::uint64_t> exposures(const Rng& rng, std::uint64_t count) const;

 private:
  double part_entropy(std::size_t begin, std::size_t end) const;
  template <class Visit>
  void for_each_unit(const Rng& rng, std::uint64_t count, Visit&& visit) const;

  std::uint64_t vocab_;
  std::size_t period_;  // P
  std::vector<double> probabilities_;
  std::vector<Token> tokens_;  // (units, P)
  // Probability that a random unit has these tokens at [begin, end), by a key of begin and tokens.
  std::unordered_map<std::string, double> masses_;
};

}  // namespace loglog::data
