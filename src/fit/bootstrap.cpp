#include "fit/bootstrap.hpp"

#include <algorithm>
#include <cmath>

#include "base/rng.hpp"
#include "base/stats.hpp"

namespace loglog::fit {

std::vector<double> resample_counts(std::span<const int> cluster, int clusters, std::uint64_t seed,
                                    std::uint64_t index) {
  const Rng rng(seed, index);
  std::vector<double> drawn(static_cast<std::size_t>(clusters), 0.0);
  for (int i = 0; i < clusters; ++i) {
    drawn[rng.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(clusters))] += 1;
  }
  std::vector<double> counts;
  for (const int c : cluster) counts.push_back(drawn[static_cast<std::size_t>(c)]);
  return counts;
}

double drawn_quantile(const std::vector<double>& values, double p) {
  const auto n = static_cast<double>(values.size());
  return n < 2 ? quantile(values, p) : quantile(values, std::clamp(((n + 1) * p - 1) / (n - 1), 0.0, 1.0));
}

Ends expanded_percentiles(const std::vector<double>& values, double t) {
  if (values.size() < 2 || !std::isfinite(t)) return {NAN, NAN};
  const double level = 0.5 * std::erfc(t / std::sqrt(2.0));  // normal probability below -t
  return {drawn_quantile(values, level), drawn_quantile(values, 1 - level)};
}

double pair_bootstrap_t(int n, int parameters) {
  const double df = n - parameters;
  return df > 0 ? std::sqrt(n / df) * student_t_quantile(0.975, df) : NAN;
}

}  // namespace loglog::fit
