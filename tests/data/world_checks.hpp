// What every world must satisfy whose windows are known.
#pragma once
#include <cmath>
#include <vector>

#include "data/worlds/world.hpp"
#include "support/catch.hpp"

namespace loglog::data {

// All windows of `length` tokens, with the sum of -p ln p over them: H(X_1..X_T) by brute force from
// log_probs. Also checks that the probabilities sum to 1.
inline double brute_block_entropy(const World& world, std::size_t length) {
  std::vector<Token> window(length, 0);
  std::vector<double> out(length);
  double total = 0, sum = 0;
  for (;;) {
    world.log_probs(window, out);
    double log_p = 0;
    for (const double value : out) log_p += std::isfinite(log_p) ? value : 0;
    if (std::isfinite(log_p)) {
      total += std::exp(log_p);
      sum -= std::exp(log_p) * log_p;
    }
    std::size_t at = 0;
    while (at < length && ++window[at] == static_cast<Token>(world.vocab_size())) window[at++] = 0;
    if (at == length) break;
  }
  REQUIRE(total == Approx(1.0).epsilon(1e-10));
  return sum;
}

// Frequencies of the windows of three tokens in generated text against exp(log_probs): the two sides of a
// world share no code.
inline void check_frequencies(const World& world) {
  const auto v = world.vocab_size();
  std::vector<Token> text;
  world.generate(Rng(3, 3), 400000, [&](Token token) { text.push_back(token); });
  std::vector<double> counts(v * v * v);
  for (std::size_t i = 0; i + 2 < text.size(); ++i) {
    counts[(static_cast<std::size_t>(text[i]) * v + static_cast<std::size_t>(text[i + 1])) * v +
           static_cast<std::size_t>(text[i + 2])] += 1;
  }
  const double n = static_cast<double>(text.size() - 2);
  std::vector<double> out(3);
  for (std::size_t w = 0; w < counts.size(); ++w) {
    const Token window[] = {static_cast<Token>(w / v / v), static_cast<Token>(w / v % v),
                            static_cast<Token>(w % v)};
    world.log_probs(window, out);
    const double p =
        std::isfinite(out[0]) && std::isfinite(out[1]) ? std::exp(out[0] + out[1] + out[2]) : 0.0;
    if (p == 0) REQUIRE(counts[w] <= 1);  // nothing impossible happens, the start of the text apart
    // Neighbouring windows depend on each other: allow three times the spread of independent draws.
    REQUIRE(std::abs(counts[w] - n * p) <= 5 * 3 * std::sqrt(n * p * (1 - p)) + 1);
  }
}

inline std::vector<Token> text_of_world(const World& world, std::uint64_t count, std::uint64_t seed = 3) {
  std::vector<Token> text;
  world.generate(Rng(seed, 3), count, [&](Token token) { text.push_back(token); });
  return text;
}

}  // namespace loglog::data
