#include "fit/intervals.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "fit/centred_quantity.hpp"
#include "fit/parallel.hpp"
#include "fit/profile.hpp"
#include "fit/solve.hpp"
#include "fit/studentised.hpp"
#include "fit/wald.hpp"

namespace loglog::fit {
namespace {

constexpr double kFewRuns = 30;

// What is known when intervals are made.
struct Fitted {
  const Points& points;
  const Runs& runs;
  Huber huber;
  const Vector& best;
  const IntervalOptions& options;

  bool is_clustered() const { return runs.clusters < runs.size(); }
  int units() const { return is_clustered() ? runs.clusters : runs.size(); }
  int parameters() const { return points.law().parameter_count(); }
  int rows() const {
    return static_cast<int>(std::ranges::count_if(runs.weight, [](double w) { return w > 0; }));
  }
  // Of mean 1 over the rows that have one.
  std::vector<double> weights() const {
    std::vector<double> result = runs.weight;
    const double sum = std::accumulate(result.begin(), result.end(), 0.0);
    for (double& w : result) w *= rows() / sum;
    return result;
  }
  // Nothing for losses to which the formula does not apply.
  std::optional<Matrix> covariance(const Points& of, std::span<const double> weights,
                                   const Vector& theta) const {
    constexpr double kCorner = 1e-5;
    if (!huber.is_symmetric() || huber.raw || huber.delta < kCorner) return std::nullopt;
    return plain_covariance(of, weights, rows(), huber, theta);
  }
  Vector restored(const Vector& theta) const { return points.law().form->restore(theta, points.centres()); }
};

// Fits of `count` changed problems, each to convergence from the fit of all points; where that start fails, from the full grid.
// solve_one(i, fit) calls fit(points, weights) once; weights have mean 1 over the rows drawn. How many did not converge is added to the warnings.
template <class SolveOne>
std::vector<Resampled> fits_of(const Fitted& f, int count, const SolveOne& solve_one,
                               std::vector<std::string>& warnings) {
  std::vector<Resampled> samples(static_cast<std::size_t>(count));
  std::vector<char> failed(samples.size(), 0);
  const Bounds bounds = f.points.law().form->bounds(f.points);
  for_each_index(f.options.threads, count, [&](int i) {
    const auto slot = static_cast<std::size_t>(i);
    solve_one(i, [&](const Points& points, std::span<const double> weights) {
      Resampled& sample = samples[slot];
      const Descent end = descend(points, weights, f.huber, bounds, f.best);
      sample.theta = end.theta;
      if (!end.converged()) {
        const Solution retry = solve(points, weights, f.huber);
        if (retry.value < end.value) sample.theta = retry.theta;
        failed[slot] = retry.certificate.converged ? 0 : 1;
      }
      sample.covariance = f.covariance(points, weights, sample.theta);
    });
  });
  if (const auto bad = std::count(failed.begin(), failed.end(), 1); bad > 0)
    warnings.push_back(fmt::format("{} of {} resamples did not converge", bad, count));
  return samples;
}

class Percentiles final : public Intervals {
 public:
  Percentiles(std::vector<Vector> samples, double t) : samples_(std::move(samples)), t_(t) {}
  Ends of(const Quantity& quantity) const override { return expanded_percentiles(values_of(quantity), t_); }
  double error_of(const Quantity& quantity) const override {
    return std::sqrt(variance(values_of(quantity)));
  }

 private:
  std::vector<double> values_of(const Quantity& quantity) const {
    std::vector<double> values;
    for (const Vector& theta : samples_) values.push_back(quantity.value(theta));
    return values;
  }
  std::vector<Vector> samples_;
  double t_;
};

std::unique_ptr<Intervals> by_bootstrap(const Fitted& f) {
  std::vector<std::string> warnings;
  const std::vector<double> own = f.weights();
  auto samples = fits_of(
      f, f.options.resamples,
      [&](int i, const auto& fit) {
        std::vector<double> weights =
            resample_counts(f.runs.cluster, f.runs.clusters, f.options.seed, static_cast<std::uint64_t>(i));
        for (std::size_t k = 0; k < weights.size(); ++k) weights[k] *= own[k];
        fit(f.points, weights);
      },
      warnings);
  auto intervals = studentised_intervals(f.points, {f.best, f.covariance(f.points, own, f.best)},
                                         std::move(samples), pair_bootstrap_t(f.units(), f.parameters()));
  intervals->method = fmt::format("{} bootstrap, {} resamples, studentised",
                                  f.is_clustered() ? "run-level" : "pair", f.options.resamples);
  intervals->warnings = std::move(warnings);
  if (f.units() < kFewRuns)
    intervals->warnings.push_back(
        fmt::format("{} runs: bootstrap intervals are approximate below 30", f.units()));
  return intervals;
}

// Noise of the size of the residuals, the same for all points.
std::unique_ptr<Intervals> by_noise(const Fitted& f) {
  std::vector<std::string> warnings;
  const ResidualScale scale = residual_scale(f.points, f.runs.weight, f.huber, f.best);
  const double sd = std::sqrt(scale.variance);
  std::vector<double> smooth = residuals(f.points, f.best);
  for (int i = 0; i < f.points.size(); ++i) smooth[static_cast<std::size_t>(i)] += f.points.log_loss(i);
  const std::vector<double> own = f.weights();
  auto samples = fits_of(
      f, f.options.resamples,
      [&](int r, const auto& fit) {
        const Rng rng(f.options.seed, static_cast<std::uint64_t>(r));
        std::vector<double> made = smooth;
        for (std::size_t i = 0; i < made.size(); ++i) made[i] += sd * rng.normal(i);
        fit(f.points.with_log_losses(std::move(made)), own);
      },
      warnings);
  auto intervals = studentised_intervals(f.points, {f.best, f.covariance(f.points, own, f.best)},
                                         std::move(samples), student_t_quantile(0.975, scale.degrees));
  intervals->method =
      fmt::format("losses made anew with noise of {:.3g}, {} times, studentised", sd, f.options.resamples);
  intervals->warnings = std::move(warnings);
  return intervals;
}

// se^2 = sum (1 - h_i) (q_i - q)^2 over the m fits that lack one run each, h_i the leverage of the run: for each run its difference is its error
// over 1 - h_i, and the error's own variance is 1 - h_i times that of the noise, so this is unbiased where the plain sum is too large (HC2 against
// HC3: MacKinnon and White 1985).
class Jackknife final : public Intervals {
 public:
  Jackknife(Vector best, std::vector<Vector> without, std::vector<double> leverage, double t)
      : best_(best), without_(std::move(without)), leverage_(std::move(leverage)), t_(t) {}
  Ends of(const Quantity& quantity) const override {
    const double value = quantity.value(best_);
    double squares = 0;
    for (std::size_t i = 0; i < without_.size(); ++i)
      squares += (1 - leverage_[i]) * std::pow(quantity.value(without_[i]) - value, 2);
    const double half = t_ * std::sqrt(squares);
    return {value - half, value + half};
  }

 private:
  Vector best_;
  std::vector<Vector> without_;
  std::vector<double> leverage_;
  double t_;
};

std::unique_ptr<Intervals> by_jackknife(const Fitted& f) {
  std::vector<std::string> warnings;
  const std::vector<double> own = f.weights();
  const auto samples = fits_of(
      f, f.runs.clusters,
      [&](int left_out, const auto& fit) {
        std::vector<double> weights = own;
        for (std::size_t i = 0; i < weights.size(); ++i)
          if (f.runs.cluster[i] == left_out) weights[i] = 0;
        fit(f.points, weights);
      },
      warnings);
  std::vector<Vector> without;
  for (const Resampled& sample : samples) without.push_back(f.restored(sample.theta));
  auto intervals = std::make_unique<Jackknife>(f.restored(f.best), std::move(without),
                                               run_leverages(f.points, f.runs, f.best),
                                               student_t_quantile(0.975, f.units() - f.parameters()));
  intervals->method = fmt::format("jackknife over {} runs, Student's t", f.runs.clusters);
  intervals->warnings = std::move(warnings);
  return intervals;
}

class Profiles final : public Intervals {
 public:
  explicit Profiles(const Fitted& f)
      : points_(f.points), weights_(f.runs.weight), huber_(f.huber), best_(f.best) {
    method = "profile likelihood, F distribution";
    if (f.is_clustered())
      warnings.push_back(
          "rows of one run are not independent: profile intervals are too narrow; --interval jackknife");
  }
  Ends of(const Quantity& quantity) const override {
    const ProfileInterval interval = profile_interval(points_, weights_, huber_, best_, quantity);
    return {interval.low, interval.high};
  }

 private:
  Points points_;
  std::vector<double> weights_;
  Huber huber_;
  Vector best_;
};

class Wald final : public Intervals {
 public:
  Wald(const Fitted& f, const Covariance& covariance)
      : points_(f.points),
        best_(f.best),
        covariance_(covariance),
        t_(student_t_quantile(0.975, covariance.degrees)) {
    method = f.is_clustered() ? fmt::format("Wald, sandwich over {} runs, Student's t", f.units())
                              : "Wald, Student's t";
    if (f.is_clustered())
      warnings.push_back(
          "of few runs the sandwich is too narrow (about 90% at 24 runs): --interval jackknife");
  }
  Ends of(const Quantity& quantity) const override {
    const CentredQuantity q(points_, quantity);
    const double value = q(best_), half = t_ * standard_error(covariance_.matrix, q.gradient(best_),
                                                              points_.law().parameter_count());
    return {value - half, value + half};
  }

 private:
  Points points_;
  Vector best_;
  Covariance covariance_;
  double t_;
};

std::unique_ptr<Intervals> by_wald(const Fitted& f, std::string& reason) {
  const std::optional<Covariance> covariance = wald_covariance(f.points, f.runs, f.huber, f.best);
  if (covariance) return std::make_unique<Wald>(f, *covariance);
  reason = "no intervals: the parameters are not determined at the minimum";
  return nullptr;
}

}  // namespace

double Intervals::error_of(const Quantity& quantity) const {
  const Ends ends = of(quantity);
  return (ends.high - ends.low) / (2 * normal_quantile(0.975));
}

IntervalKind interval_kind_named(std::string_view name) {
  const auto found = std::ranges::find(kIntervalKinds, name);
  if (found == std::end(kIntervalKinds))
    throw UsageError(fmt::format("--interval '{}': one of {}", name, fmt::join(kIntervalKinds, ", ")));
  return static_cast<IntervalKind>(found - std::begin(kIntervalKinds));
}

std::unique_ptr<Intervals> percentile_intervals(std::vector<Vector> samples, double t) {
  return std::make_unique<Percentiles>(std::move(samples), t);
}

std::unique_ptr<Intervals> make_intervals(const Points& points, const Runs& runs, Huber huber,
                                          const Vector& best, const IntervalOptions& options,
                                          std::string& reason) {
  const Fitted f{points, runs, huber, best, options};
  if (f.is_clustered() && f.units() < f.parameters() + 2) {
    reason = fmt::format("{} runs for {} parameters: rows of one run are not independent, no intervals",
                         f.units(), f.parameters());
    return nullptr;
  }
  IntervalKind kind = options.kind;
  if (kind == IntervalKind::automatic)
    kind = f.is_clustered() ? IntervalKind::jackknife : IntervalKind::bootstrap;
  switch (kind) {
    case IntervalKind::noise:
      return by_noise(f);
    case IntervalKind::jackknife:
      return by_jackknife(f);
    case IntervalKind::profile:
      return std::make_unique<Profiles>(f);
    case IntervalKind::wald:
      return by_wald(f, reason);
    default:
      return by_bootstrap(f);
  }
}

}  // namespace loglog::fit
