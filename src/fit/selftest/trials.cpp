#include "fit/selftest/trials.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/stats.hpp"

namespace loglog::fit {
namespace {

// Per cent, for a share near `percent`.
double extra_scatter(double percent, std::size_t sweeps) {
  constexpr double kAsStated = 1000;
  const double one = 3 * std::sqrt(percent * (100 - percent));
  return std::max(0.0, one / std::sqrt(static_cast<double>(sweeps)) - one / std::sqrt(kAsStated));
}

// Of a standard deviation, as a share of it.
double extra_width(std::size_t sweeps) {
  constexpr double kAsStated = 1000;
  return std::max(0.0, 3 / std::sqrt(2.0 * static_cast<double>(sweeps)) - 3 / std::sqrt(2 * kAsStated));
}

bool holds(const Trial& t) {
  if (std::isnan(t.value) || (std::isnan(t.low) && std::isnan(t.high))) return false;
  return !(t.truth < t.low) && !(t.truth > t.high);
}

}  // namespace

Judgement judge(const std::string& what, std::span<const Trial> trials, Band band, double widest) {
  std::vector<double> errors, widths;
  std::ptrdiff_t inside = 0;
  for (const Trial& t : trials) {
    inside += holds(t) ? 1 : 0;
    if (std::isfinite(t.value)) errors.push_back(t.value - t.truth);
    const double width = t.high - t.low;
    widths.push_back(std::isnan(width) ? INFINITY : width);
  }
  const double covered = 100.0 * static_cast<double>(inside) / static_cast<double>(trials.size());
  const double wider = extra_scatter(95, trials.size());
  const double sd = std::sqrt(variance(errors)), width = median(widths) / (3.92 * sd);
  const double low = band.low - wider, high = band.high + wider;
  const bool is_narrow = widest == kAnyWidth || width <= widest * (1 + extra_width(trials.size()));
  return {what,
          fmt::format("{:.3g}-{:.3g}%{}", low, std::min(high, 100.0),
                      widest == kAnyWidth
                          ? ""
                          : fmt::format(", width <= {:.3g}", widest * (1 + extra_width(trials.size())))),
          fmt::format("{:.1f}%, width {:.2f}", covered, width),
          covered >= low && covered <= high && is_narrow};
}

Judgement judge_share(const std::string& what, std::span<const char> has, double least_percent,
                      double most_percent) {
  const auto n = static_cast<double>(has.size());
  const double share = 100 * static_cast<double>(std::ranges::count(has, char(1))) / n;
  const double low = least_percent - extra_scatter(least_percent, has.size());
  const double high = most_percent + extra_scatter(most_percent, has.size());
  const bool only_least = most_percent >= 100;
  return {what, only_least ? fmt::format(">= {:.3g}%", low) : fmt::format("<= {:.3g}%", high),
          fmt::format("{:.1f}%", share), share >= low && share <= high};
}

}  // namespace loglog::fit
