// parity: many tasks of sparse parity with Zipf frequencies. A world that is learned task by task, each all at once.
//
//   task token   n bits   answer: even or odd
// Task k of K is a set S_k of `subset` places, drawn once; the answer says whether the bits there sum to an even or an odd
// number. Tasks occur with p_k proportional to k^-(1 + alpha); bits are fair. A task costs ln 2 per answer until it is learned and
// nothing afterwards, and the same capacity and examples as any other, so
//   L - E ~ N^-alpha,   L - E ~ D^-(alpha / (1 + alpha))
// (Michaud, Liu, Girit, Tegmark 2023, section 3: the paper has K = 500, n = 100, subset 3, alpha 0.4).
//
//   entropy rate h = (H(p) + n ln 2) / (n + 2)
// Windows that begin behind the task token mix the tasks that their bits allow (units.hpp); H(X_1..X_T) has no closed form.
#pragma once
#include "data/worlds/units.hpp"

namespace loglog::data {

WorldKind parity_kind();

struct ParityParameters {
  std::uint64_t tasks = 0;   // K
  std::uint64_t bits = 0;    // n
  std::uint64_t subset = 0;  // <= n
  double alpha = 0;
};

class ParityWorld final : public World {
 public:
  static constexpr Token kEven = 2, kOdd = 3, kFirstTask = 4;  // bits are tokens 0 and 1

  ParityWorld(const ParityParameters& parameters, std::uint64_t seed);

  std::uint64_t vocab_size() const override { return kFirstTask + parameters_.tasks; }
  double entropy_rate() const override;
  std::optional<double> block_entropy(std::uint64_t) const override { return std::nullopt; }
  void log_probs(std::span<const Token> window, std::span<double> out) const override;
  void generate(const Rng& rng, std::uint64_t count, const std::function<void(Token)>& emit) const override;
  bool has_truth() const override { return true; }
  // Of each task, the most frequent first: {"task": token, "probability", "places", "exposures"}.
  void tell_truth(const Rng& rng, std::uint64_t count,
                  const std::function<void(const nlohmann::json&)>& tell) const override;

  const std::vector<std::size_t>& places(std::size_t task) const {
    return places_[task];
  }  // ascending, from 0

 private:
  std::size_t period() const { return parameters_.bits + 2; }
  double log_mass(std::size_t begin, std::span<const Token> tokens) const;
  double log_answer(std::size_t first_bit, std::span<const Token> bits, Token answer) const;
  // Draws are the task's (i * (n + 1)) and then its bits'.
  template <class Visit>
  void for_each_task(const Rng& rng, std::uint64_t count, Visit&& visit) const;

  ParityParameters parameters_;
  std::vector<double> probabilities_;
  std::vector<std::vector<std::size_t>> places_;
};

}  // namespace loglog::data
