#include "night/tuning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.hpp"

namespace loglog::night {
namespace {

struct Point {
  double log_rate, loss;  // mean of ln loss over the sizes
};

// Of the factors that trained every size, ascending.
std::vector<Point> mean_losses(const std::vector<TriedRate>& tried) {
  std::map<double, std::vector<const TriedRate*>> by_rate;
  for (const TriedRate& t : tried) by_rate[t.rate].push_back(&t);
  std::vector<Point> points;
  for (const auto& [rate, runs] : by_rate) {
    double sum = 0;
    for (const TriedRate* run : runs) sum += std::log(run->loss.value_or(NAN));
    if (std::isfinite(sum)) points.push_back({std::log(rate), sum / static_cast<double>(runs.size())});
  }
  return points;
}

double vertex(const Point& a, const Point& b, const Point& c) {
  const double left = (b.log_rate - a.log_rate) * (b.loss - c.loss),
               right = (b.log_rate - c.log_rate) * (b.loss - a.loss);
  if (left == right) return b.log_rate;
  return b.log_rate -
         0.5 * ((b.log_rate - a.log_rate) * left - (b.log_rate - c.log_rate) * right) / (left - right);
}

}  // namespace

BestRate best_rate(const std::vector<TriedRate>& tried) {
  const std::vector<Point> points = mean_losses(tried);
  if (points.empty()) return {std::nullopt, true, true, false};  // lower rates may train
  const auto best = std::ranges::min_element(points, {}, &Point::loss);
  const bool at_end = best == points.begin() || best + 1 == points.end();
  if (!at_end) return {std::exp(vertex(best[-1], best[0], best[1])), false, false, false};
  const double rate = std::exp(best->log_rate);
  const auto lowest = std::ranges::min_element(tried, {}, &TriedRate::rate),
             highest = std::ranges::max_element(tried, {}, &TriedRate::rate);
  const auto is = [&](double other) { return std::abs(rate / other - 1) < 1e-9; };
  return {rate, true, is(lowest->rate), is(highest->rate)};
}

std::optional<double> next_rate(const BestRate& best, const std::vector<double>& rates) {
  constexpr std::size_t kMost = 6;
  constexpr double kFactor = 2;
  if (rates.size() >= kMost) return std::nullopt;
  if (best.is_low) return rates.front() / kFactor;
  if (best.is_high) return rates.back() * kFactor;
  return std::nullopt;
}

double rate_of_name(std::string_view name) {
  constexpr std::string_view kMark = "-rate";
  const std::size_t begin = name.rfind(kMark), end = name.rfind("-s");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin)
    throw InputError(fmt::format("run '{}' of the tuning names no rate", name));
  return std::stod(std::string(name.substr(begin + kMark.size(), end - begin - kMark.size())));
}

}  // namespace loglog::night
