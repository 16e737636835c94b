#include "fit/surface.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/bootstrap.hpp"
#include "fit/parallel.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {
namespace {

constexpr double kWeak = 100;  // condition numbers; real sweeps: 33, 39, 192, a degenerate one 8e6
constexpr double kNotIdentified = 1000;
constexpr double kFewDecades = 1.5;
constexpr double kAbsentFloor = 1e-3;  // E below this share of the lowest loss counts as zero
constexpr double kFewRuns = 30;

struct Scale {
  double delta;
  Vector theta;  // of the last fit that it was estimated from, at a larger delta as a rule
};

// 1.345 sigma, with sigma from the median absolute residual so that diverged runs do not inflate it.
Scale estimated_scale(const Points& points, std::span<const double> weights) {
  constexpr double kSmallest = 1e-5;  // noise-free data: everything is inside, the fit is least squares
  const int n = points.size();
  const int p = points.law().parameter_count();
  Scale scale{1e-2, {}};
  for (int round = 0; round < 3;
       ++round) {  // sigma depends on the fit and the fit on delta; it settles in two
    std::vector<double> sizes;
    scale.theta = solve(points, weights, {scale.delta}, round == 0 ? nullptr : &scale.theta).theta;
    for (const double r : residuals(points, scale.theta)) sizes.push_back(std::abs(r));
    const double sd = 1.4826 * median(sizes) * std::sqrt(static_cast<double>(n) / (n - p));
    scale.delta = std::max(kSmallest, 1.345 * sd);
  }
  return scale;
}

std::vector<Interval> quantities(const std::vector<Quantity>& list, const Vector& theta,
                                 const std::vector<Vector>& samples, double t) {
  std::vector<Interval> result;
  for (const Quantity& quantity : list) {
    std::vector<double> values;
    for (const Vector& sample : samples) values.push_back(quantity.value(sample));
    const Ends ends = expanded_percentiles(values, t);
    result.push_back({quantity.name, quantity.value(theta), ends.low, ends.high});
  }
  return result;
}

struct Resampling {
  std::vector<Vector> theta;  // centred
  int unconverged = 0;
};

// Every resample is solved to convergence from the fit of all points; where that start fails, from the full grid.
Resampling resample(const Points& points, const Runs& runs, Huber huber, const Vector& start,
                    const SurfaceOptions& options) {
  Resampling result;
  result.theta.resize(static_cast<std::size_t>(options.bootstrap));
  std::vector<char> failed(result.theta.size(), 0);
  const Bounds bounds = bounds_of(points);
  for_each_index(options.threads, options.bootstrap, [&](int b) {
    const auto slot = static_cast<std::size_t>(b);
    std::vector<double> weights =
        resample_counts(runs.cluster, runs.clusters, options.seed, static_cast<std::uint64_t>(b));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= runs.weight[i];
    const Descent end = descend(points, weights, huber, bounds, start);
    result.theta[slot] = end.theta;
    if (end.converged()) return;
    const Solution retry = solve(points, weights, huber);
    if (retry.value < end.value) result.theta[slot] = retry.theta;
    failed[slot] = retry.certificate.converged ? 0 : 1;
  });
  result.unconverged = static_cast<int>(std::count(failed.begin(), failed.end(), 1));
  return result;
}

void warn_identification(const Points& points, FitResult& result) {
  const Certificate& c = result.certificate;
  if (!c.converged) {
    result.warnings.push_back(fmt::format(
        "the fit did not converge (scaled gradient {:.1e}, decrement {:.1e})", c.gradient, c.decrement));
  }
  if (c.agreeing == 1 && c.starts > 1) {
    result.warnings.push_back("only one of the starts reached the best value; others ended in worse minima");
  }
  if (!(c.condition <= kNotIdentified)) {
    result.warnings.push_back(
        fmt::format("not identified: condition number {:.3g} (above 1000); the data do not determine the "
                    "parameters separately",
                    c.condition));
  } else if (c.condition > kWeak) {
    result.warnings.push_back(
        fmt::format("weakly identified: condition number {:.3g} (above 100)", c.condition));
  }
  for (const std::string& name : c.at_bounds) {
    result.warnings.push_back(name + " is at its bound: not identified by these data");
  }
  const Law& law = points.law();
  for (std::size_t v = 0; v < law.variables.size(); ++v) {
    const double decades = points.decades(static_cast<int>(v));
    if (decades >= kFewDecades) continue;
    result.warnings.push_back(
        fmt::format("{} spans {:.2f} decades, fewer than 1.5: exponents rest on little leverage",
                    law.variables[v], decades));
  }
  const int df = result.n - law.parameter_count();
  if (df < 2) result.warnings.push_back(fmt::format("{} residual degrees of freedom", df));
}

void warn_floor(const Points& points, const Vector& theta, FitResult& result) {
  const int floor = points.law().floor_index();
  if (floor < 0) return;
  const double relative = std::exp(theta[static_cast<std::size_t>(floor)] - points.lowest_log_loss());
  const bool said = std::find(result.certificate.at_bounds.begin(), result.certificate.at_bounds.end(),
                              "E") != result.certificate.at_bounds.end();
  if (relative < kAbsentFloor && !said) {
    result.certificate.at_bounds.push_back("E");
    result.warnings.push_back("E is at its bound 0: the floor is not identified by these data");
  }
}

// The floor is fitted as a logarithm, which cannot reach 0: ends far below every loss stand for it.
void start_floor_at_zero(const Points& points, FitResult& result) {
  for (Interval& item : result.params) {
    if (item.name == "E" && item.low < kAbsentFloor * std::exp(points.lowest_log_loss())) {
      item.low = 0;
      result.warnings.push_back("the interval of E reaches 0: these data do not show a floor");
    }
  }
}

// The resamples that intervals are made of, what they are called, and what is wrong with them.
void add_samples(const Points& points, const Runs& runs, Huber huber, const Vector& theta,
                 const SurfaceOptions& options, FitResult& result) {
  if (options.bootstrap <= 0) return;
  const Law& law = points.law();
  const int p = law.parameter_count();
  const bool clustered = runs.clusters < runs.size();
  const int units = clustered ? runs.clusters : runs.size();
  if (clustered && units < p + 2) {
    result.warnings.push_back(fmt::format(
        "{} runs for {} parameters: rows of one run are not independent, no intervals", units, p));
    return;
  }
  const Resampling resampled = resample(points, runs, huber, theta, options);
  for (const Vector& sample : resampled.theta)
    result.samples.push_back(law.restore(sample, points.centres()));
  result.interval_t = pair_bootstrap_t(units, p);
  result.interval_method = fmt::format("{} bootstrap, {} resamples, expanded percentiles",
                                       clustered ? "run-level" : "pair", options.bootstrap);
  if (resampled.unconverged > 0) {
    result.warnings.push_back(
        fmt::format("{} of {} resamples did not converge", resampled.unconverged, options.bootstrap));
  }
  if (units < kFewRuns) {
    result.warnings.push_back(fmt::format("{} runs: bootstrap intervals are approximate below 30", units));
  }
}

}  // namespace

FitResult fit_surface(const Law& law, const Runs& runs, const SurfaceOptions& options) {
  const int p = law.parameter_count();
  if (runs.size() < p + 2) {
    throw InputError(fmt::format("{} points for the {} parameters of {}; at least {} are needed", runs.size(),
                                 p, law.name, p + 2));
  }
  if (options.delta && !(*options.delta > 0)) throw UsageError("--delta must be positive");
  const Points points(law, runs.columns, runs.loss);
  for (std::size_t v = 0; v < law.variables.size(); ++v) {
    if (points.decades(static_cast<int>(v)) > 0) continue;
    throw InputError(fmt::format("all {} rows have one value of {}: no exponent can be fitted", runs.size(),
                                 law.variables[v]));
  }
  // No residual of ln loss comes near ten: above, Huber's loss is the square, and its scale would hide the residuals.
  constexpr double kLeastSquares = 10;
  const Scale scale = options.delta ? Scale{*options.delta, {}} : estimated_scale(points, runs.weight);
  const Huber huber{std::min(scale.delta, kLeastSquares)};
  const Solution solution = solve(points, runs.weight, huber, options.delta ? nullptr : &scale.theta);

  FitResult result;
  result.law = law.name;
  result.formula = law.formula;
  result.n = runs.size();
  result.objective = solution.value;
  result.delta = huber.delta;
  result.objective_kind = options.delta ? "huber-sum" : "huber-sum, delta = 1.345 x residual sd";
  result.certificate = solution.certificate;
  result.has_certificate = true;
  result.seed = options.seed;
  result.excluded = runs.excluded;
  result.notices = runs.notices;
  result.warnings = runs.warnings;
  result.rows = runs.row;
  result.theta = law.restore(solution.theta, points.centres());
  result.residuals = residuals(points, solution.theta);
  warn_identification(points, result);
  warn_floor(points, solution.theta, result);

  add_samples(points, runs, huber, solution.theta, options, result);
  result.params = quantities(law.params, result.theta, result.samples, result.interval_t);
  const bool determined = result.certificate.condition <= kNotIdentified;
  result.identified = determined && result.certificate.at_bounds.empty();
  start_floor_at_zero(points, result);
  if (determined) {
    result.optimum = quantities(law.optimum, result.theta, result.samples, result.interval_t);
  } else if (!law.optimum.empty()) {
    result.warnings.push_back("compute-optimal exponents are not given because the law is not identified");
  }
  return result;
}

}  // namespace loglog::fit
