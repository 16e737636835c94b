#include "eval/clustered_mean.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace loglog::eval {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void ClusteredMean::add(std::uint64_t cluster, double sum, std::uint64_t count) {
  if (clusters_.empty() || clusters_.back().number != cluster) clusters_.push_back({cluster, 0, 0});
  clusters_.back().sum += sum;
  clusters_.back().count += count;
  sum_ += sum;
  count_ += count;
}

double ClusteredMean::mean() const {
  return count_ == 0 ? kNaN : sum_ / static_cast<double>(count_);
}

double ClusteredMean::standard_error() const {
  if (clusters_.size() < 2) return kNaN;
  const double average = mean();
  double squares = 0;
  for (const Cluster& c : clusters_) squares += std::pow(c.sum - average * static_cast<double>(c.count), 2);
  const auto groups = static_cast<double>(clusters_.size());
  return std::sqrt(groups / (groups - 1) * squares) / static_cast<double>(count_);
}

std::size_t ClusteredMean::clusters_with_tokens() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(clusters_, [](const Cluster& c) { return c.count > 0; }));
}

}  // namespace loglog::eval
