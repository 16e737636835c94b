#include "data/bigram.hpp"

#include <cmath>
#include <numeric>
#include <vector>

namespace loglog::data {

std::optional<double> bigram_entropy(const FixedSample& sample, std::uint64_t vocab_size) {
  if (vocab_size * vocab_size > sample.tokens()) return std::nullopt;
  std::vector<std::uint64_t> pairs(vocab_size * vocab_size);
  std::vector<std::uint64_t> singles(vocab_size);
  const auto context = static_cast<std::size_t>(sample.tokens() / sample.windows());
  std::vector<Token> inputs(context), targets(context);
  for (std::uint64_t window = 0; window < sample.windows(); ++window) {
    sample.fill(window, inputs, targets);
    for (std::size_t t = 0; t < context; ++t) {
      if (targets[t] == kIgnoredTarget) continue;
      const auto current = static_cast<std::uint64_t>(inputs[t]);
      ++pairs[current * vocab_size + static_cast<std::uint64_t>(targets[t])];
      ++singles[current];
    }
  }
  const std::uint64_t counted = std::accumulate(singles.begin(), singles.end(), std::uint64_t{0});
  double sum = 0;
  for (std::uint64_t current = 0; current < vocab_size; ++current) {
    for (std::uint64_t next = 0; next < vocab_size; ++next) {
      const auto n = static_cast<double>(pairs[current * vocab_size + next]);
      if (n > 0) sum -= n * std::log(n / static_cast<double>(singles[current]));
    }
  }
  return sum / static_cast<double>(counted);
}

}  // namespace loglog::data
