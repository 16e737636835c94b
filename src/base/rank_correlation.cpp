#include "base/rank_correlation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.hpp"
#include "base/stats.hpp"

namespace loglog {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double pearson(const std::vector<double>& x, const std::vector<double>& y) {
  const double mx = mean(x), my = mean(y);
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : kNaN;
}

}  // namespace

std::vector<double> ranks_of(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return x[i]; });
  std::vector<double> ranks(x.size());
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && x[order[end]] == x[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = 0.5 * static_cast<double>(begin + 1 + end);
  }
  return ranks;
}

double spearman(std::span<const double> x, std::span<const double> y) {
  LOGLOG_CHECK(x.size() == y.size(), "{} and {} numbers", x.size(), y.size());
  return x.size() < 2 ? kNaN : pearson(ranks_of(x), ranks_of(y));
}

double partial_spearman(std::span<const double> x, std::span<const double> y, std::span<const double> z) {
  const double xy = spearman(x, y), xz = spearman(x, z), yz = spearman(y, z);
  const double left = (1 - xz * xz) * (1 - yz * yz);
  return left > 0 ? (xy - xz * yz) / std::sqrt(left) : kNaN;
}

}  // namespace loglog
