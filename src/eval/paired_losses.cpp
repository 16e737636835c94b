#include "eval/paired_losses.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"

namespace loglog::eval {

std::vector<std::vector<double>> resampled_means(std::span<const ClusteredMean* const> models,
                                                 std::uint64_t resamples, std::uint64_t seed) {
  LOGLOG_CHECK(!models.empty(), "no models");
  const std::vector<ClusteredMean::Cluster>& first = models.front()->clusters_;
  const std::size_t n = first.size();
  for (const ClusteredMean* model : models) {
    LOGLOG_CHECK(model->clusters_.size() == n, "{} clusters and {}", model->clusters_.size(), n);
    for (std::size_t g = 0; g < n; ++g) {
      const auto& c = model->clusters_[g];
      LOGLOG_CHECK(c.number == first[g].number && c.count == first[g].count, "clusters {} of {} and {} of {}",
                   c.number, c.count, first[g].number, first[g].count);
    }
  }
  std::vector<std::size_t> with_tokens;  // a sample of clusters without would have no mean
  for (std::size_t g = 0; g < n; ++g)
    if (first[g].count > 0) with_tokens.push_back(g);
  std::vector<std::vector<double>> means(resamples, std::vector<double>(models.size()));
  for (std::uint64_t r = 0; r < resamples; ++r) {
    const Rng rng(seed, r);
    double count = 0;
    for (std::size_t i = 0; i < with_tokens.size(); ++i) {
      const std::size_t g = with_tokens[rng.below(i, with_tokens.size())];
      count += static_cast<double>(first[g].count);
      for (std::size_t m = 0; m < models.size(); ++m) means[r][m] += models[m]->clusters_[g].sum;
    }
    for (double& mean : means[r]) mean /= count;
  }
  return means;
}

PairedDifference summed_difference(std::span<const ClusteredMean* const> models, const ClusteredMean& b,
                                   std::uint64_t seed) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  PairedDifference result{0, kNone, kNone};
  for (const ClusteredMean* model : models) result.mean += model->mean() - b.mean();
  std::vector<const ClusteredMean*> all(models.begin(), models.end());
  all.push_back(&b);
  const bool has_interval = std::isfinite(result.mean) && b.clusters_with_tokens() > 1;
  const auto means = resampled_means(all, has_interval ? PairedDifference::kResamples : 0, seed);
  if (!has_interval) return result;
  std::vector<double> sums;
  for (const std::vector<double>& row : means)
    sums.push_back(std::accumulate(row.begin(), row.end() - 1, 0.0,
                                   [&](double sum, double mean) { return sum + (mean - row.back()); }));
  result.low = quantile(sums, 0.025);
  result.high = quantile(std::move(sums), 0.975);
  return result;
}

PairedDifference paired_difference(const ClusteredMean& a, const ClusteredMean& b, std::uint64_t seed) {
  const ClusteredMean* const model = &a;
  return summed_difference({&model, 1}, b, seed);
}

}  // namespace loglog::eval
