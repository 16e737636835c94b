#include "eval/paired_losses.hpp"

#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"

namespace loglog::eval {

void ClusterLosses::add(std::uint64_t cluster, double sum, std::uint64_t count) {
  if (clusters_.empty() || clusters_.back().number != cluster) clusters_.push_back({cluster, 0, 0});
  clusters_.back().sum += sum;
  clusters_.back().count += count;
}

std::uint64_t ClusterLosses::count() const {
  return std::accumulate(clusters_.begin(), clusters_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Cluster& c) { return sum + c.count; });
}

double ClusterLosses::mean() const {
  const double sum = std::accumulate(clusters_.begin(), clusters_.end(), 0.0,
                                     [](double so_far, const Cluster& c) { return so_far + c.sum; });
  return sum / static_cast<double>(count());
}

PairedDifference paired_difference(const ClusterLosses& a, const ClusterLosses& b, std::uint64_t seed) {
  LOGLOG_CHECK(a.clusters_.size() == b.clusters_.size(), "{} clusters and {}", a.clusters_.size(),
               b.clusters_.size());
  std::vector<double> more, counts;
  for (std::size_t g = 0; g < a.clusters_.size(); ++g) {
    const auto &one = a.clusters_[g], &other = b.clusters_[g];
    LOGLOG_CHECK(one.number == other.number && one.count == other.count, "clusters {} of {} and {} of {}",
                 one.number, one.count, other.number, other.count);
    if (one.count == 0) continue;  // a sample of such clusters alone would have no mean
    more.push_back(one.sum - other.sum);
    counts.push_back(static_cast<double>(one.count));
  }
  const std::size_t n = more.size();
  const auto total = [](const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); };
  PairedDifference result;
  result.mean = total(more) / total(counts);
  result.low = result.high = std::numeric_limits<double>::quiet_NaN();
  if (n < 2 || !std::isfinite(result.mean)) return result;
  std::vector<double> means(PairedDifference::kResamples);
  for (std::uint64_t r = 0; r < PairedDifference::kResamples; ++r) {
    const Rng rng(seed, r);
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t g = rng.below(i, n);
      sum += more[g];
      count += counts[g];
    }
    means[r] = sum / count;
  }
  result.low = quantile(means, 0.025);
  result.high = quantile(std::move(means), 0.975);
  return result;
}

}  // namespace loglog::eval
