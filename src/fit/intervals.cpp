#include "fit/intervals.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "fit/centred_quantity.hpp"
#include "fit/parallel.hpp"
#include "fit/profile.hpp"
#include "fit/solve.hpp"
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
  Vector restored(const Vector& theta) const { return points.law().form->restore(theta, points.centres()); }
};

// Fits of `count` changed problems, each to convergence from the fit of all points; where that start fails, from the full grid.
// solve_one(i, fit) calls fit(points, weights) once. How many did not converge is added to the warnings.
template <class SolveOne>
std::vector<Vector> fits_of(const Fitted& f, int count, const SolveOne& solve_one,
                            std::vector<std::string>& warnings) {
  std::vector<Vector> thetas(static_cast<std::size_t>(count));
  std::vector<char> failed(thetas.size(), 0);
  const Bounds bounds = f.points.law().form->bounds(f.points);
  for_each_index(f.options.threads, count, [&](int i) {
    const auto slot = static_cast<std::size_t>(i);
    solve_one(i, [&](const Points& points, std::span<const double> weights) {
      const Descent end = descend(points, weights, f.huber, bounds, f.best);
      thetas[slot] = end.theta;
      if (end.converged()) return;
      const Solution retry = solve(points, weights, f.huber);
      if (retry.value < end.value) thetas[slot] = retry.theta;
      failed[slot] = retry.certificate.converged ? 0 : 1;
    });
  });
  if (const auto bad = std::count(failed.begin(), failed.end(), 1); bad > 0)
    warnings.push_back(fmt::format("{} of {} resamples did not converge", bad, count));
  for (Vector& theta : thetas) theta = f.restored(theta);
  return thetas;
}

class Percentiles final : public Intervals {
 public:
  Percentiles(std::vector<Vector> samples, double t) : samples_(std::move(samples)), t_(t) {}
  Ends of(const Quantity& quantity) const override {
    std::vector<double> values;
    for (const Vector& theta : samples_) values.push_back(quantity.value(theta));
    return expanded_percentiles(values, t_);
  }

 private:
  std::vector<Vector> samples_;
  double t_;
};

std::unique_ptr<Intervals> by_bootstrap(const Fitted& f) {
  std::vector<std::string> warnings;
  auto thetas = fits_of(
      f, f.options.resamples,
      [&](int i, const auto& fit) {
        std::vector<double> weights =
            resample_counts(f.runs.cluster, f.runs.clusters, f.options.seed, static_cast<std::uint64_t>(i));
        for (std::size_t k = 0; k < weights.size(); ++k) weights[k] *= f.runs.weight[k];
        fit(f.points, weights);
      },
      warnings);
  auto intervals = percentile_intervals(std::move(thetas), pair_bootstrap_t(f.units(), f.parameters()));
  intervals->method = fmt::format("{} bootstrap, {} resamples, expanded percentiles",
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
  auto thetas = fits_of(
      f, f.options.resamples,
      [&](int r, const auto& fit) {
        const Rng rng(f.options.seed, static_cast<std::uint64_t>(r));
        std::vector<double> made = smooth;
        for (std::size_t i = 0; i < made.size(); ++i) made[i] += sd * rng.normal(i);
        fit(f.points.with_log_losses(std::move(made)), f.runs.weight);
      },
      warnings);
  auto intervals = percentile_intervals(std::move(thetas), student_t_quantile(0.975, scale.degrees));
  intervals->method = fmt::format("losses made anew with noise of {:.3g}, {} times, expanded percentiles", sd,
                                  f.options.resamples);
  intervals->warnings = std::move(warnings);
  return intervals;
}

// se^2 = (m - 1) / m sum (q_i - mean)^2 over the m fits that lack one run each.
class Jackknife final : public Intervals {
 public:
  Jackknife(Vector best, std::vector<Vector> without, double t)
      : best_(best), without_(std::move(without)), t_(t) {}
  Ends of(const Quantity& quantity) const override {
    std::vector<double> values;
    for (const Vector& theta : without_) values.push_back(quantity.value(theta));
    const auto m = static_cast<double>(values.size());
    const double half = t_ * (m - 1) * std::sqrt(variance(values) / m), value = quantity.value(best_);
    return {value - half, value + half};
  }

 private:
  Vector best_;
  std::vector<Vector> without_;
  double t_;
};

std::unique_ptr<Intervals> by_jackknife(const Fitted& f) {
  std::vector<std::string> warnings;
  auto without = fits_of(
      f, f.runs.clusters,
      [&](int left_out, const auto& fit) {
        std::vector<double> weights = f.runs.weight;
        for (std::size_t i = 0; i < weights.size(); ++i)
          if (f.runs.cluster[i] == left_out) weights[i] = 0;
        fit(f.points, weights);
      },
      warnings);
  auto intervals = std::make_unique<Jackknife>(f.restored(f.best), std::move(without),
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
    const Vector slope = q.gradient(best_);
    const int n = points_.law().parameter_count();
    double squares = 0;
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j)
        squares += slope[static_cast<std::size_t>(i)] * at(covariance_.matrix, i, j) *
                   slope[static_cast<std::size_t>(j)];
    const double half = t_ * std::sqrt(squares), value = q(best_);
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
