#include "fit/studentised.hpp"

#include <algorithm>
#include <cmath>

#include "base/stats.hpp"
#include "fit/centred_quantity.hpp"
#include "fit/wald.hpp"

namespace loglog::fit {
namespace {

constexpr double kManyWithout = 0.02;
constexpr double kVanished =
    1e-3;  // of its value: a number that is on its bound 0, not one with a small error

// What is known of a number from one resample.
struct Estimate {
  double value, error;  // the error NaN where there is none
};

class Studentised final : public Intervals {
 public:
  Studentised(const Points& points, const Resampled& best, std::vector<Resampled> samples, double t)
      : points_(points), best_(best), samples_(std::move(samples)), t_(t) {}

  Ends of(const Quantity& quantity) const override {
    const CentredQuantity q(points_, quantity);
    Estimate best = estimate(q, best_);
    std::vector<Estimate> estimates;
    std::vector<double> values;
    for (const Resampled& sample : samples_) {
      estimates.push_back(estimate(q, sample));
      values.push_back(estimates.back().value);
      if (best.value > 0 && std::abs(values.back()) < kVanished * best.value) estimates.back().error = NAN;
    }
    const auto known = [](const Estimate& e) { return e.error > 0 && std::isfinite(e.error); };
    const auto without = std::ranges::count_if(estimates, [&](const Estimate& e) { return !known(e); });
    if (!known(best) || static_cast<double>(without) > kManyWithout * static_cast<double>(estimates.size()))
      return expanded_percentiles(values, t_);
    const bool positive = best.value > 0 && std::ranges::all_of(values, [](double v) { return v > 0; });
    if (positive) {
      best = as_logarithm(best);
      for (Estimate& e : estimates) e = as_logarithm(e);
    }
    std::vector<double> away;
    for (const Estimate& e : estimates)
      if (known(e)) away.push_back((e.value - best.value) / e.error);
    const double low = best.value - drawn_quantile(away, 0.975) * best.error,
                 high = best.value - drawn_quantile(away, 0.025) * best.error;
    return positive ? Ends{std::exp(low), std::exp(high)} : Ends{low, high};
  }
  double error_of(const Quantity& quantity) const override {
    const CentredQuantity q(points_, quantity);
    std::vector<double> values;
    for (const Resampled& sample : samples_) values.push_back(q(sample.theta));
    return std::sqrt(variance(values));
  }

 private:
  Estimate estimate(const CentredQuantity& q, const Resampled& sample) const {
    if (!sample.covariance) return {q(sample.theta), NAN};
    const int n = points_.law().parameter_count();
    return {q(sample.theta), standard_error(*sample.covariance, q.gradient(sample.theta), n)};
  }
  static Estimate as_logarithm(const Estimate& e) { return {std::log(e.value), e.error / e.value}; }

  Points points_;
  Resampled best_;
  std::vector<Resampled> samples_;
  double t_;
};

}  // namespace

std::unique_ptr<Intervals> studentised_intervals(const Points& points, const Resampled& best,
                                                 std::vector<Resampled> samples, double t) {
  return std::make_unique<Studentised>(points, best, std::move(samples), t);
}

}  // namespace loglog::fit
