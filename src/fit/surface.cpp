#include "fit/surface.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/discrepancy.hpp"
#include "fit/intervals.hpp"
#include "fit/profile.hpp"
#include "fit/residual_checks.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {
namespace {

// Condition numbers of centred forms; real sweeps: 33, 39, 192, a degenerate one 8e6. Without centring those are 220, 299, 854.
constexpr double kWeak = 100;
constexpr double kNotIdentified = 1000;
constexpr double kUncentred = 7;  // times as much
constexpr double kFewDecades = 1.5;
constexpr double kAbsentFloor = 1e-3;  // E below this share of the lowest loss counts as zero

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
    const Huber huber{scale.delta};
    scale.theta = round == 0
                      ? solve(points, weights, huber).theta
                      : descend(points, weights, huber, points.law().form->bounds(points), scale.theta).theta;
    for (const double r : residuals(points, scale.theta)) sizes.push_back(std::abs(r));
    const double sd = 1.4826 * median(sizes) * std::sqrt(static_cast<double>(n) / (n - p));
    scale.delta = std::max(kSmallest, 1.345 * sd);
  }
  return scale;
}

// A delta far below the residuals makes F a sum of corners, in which Newton's method is lost unless it comes from a larger one, a quarter
// at a time. Nothing where delta is none of these.
std::optional<Vector> continued_from_large_delta(const Points& points, std::span<const double> weights,
                                                 Huber huber) {
  constexpr double kFirst = 1e-3, kShrink = 0.25;
  if (huber.delta >= kFirst) return std::nullopt;
  const Bounds bounds = points.law().form->bounds(points);
  Huber larger = huber;
  larger.delta = kFirst;
  Vector theta = solve(points, weights, larger).theta;
  for (larger.delta *= kShrink; larger.delta > huber.delta; larger.delta *= kShrink)
    theta = descend(points, weights, larger, bounds, theta).theta;
  return theta;
}

std::vector<Interval> quantities(const std::vector<Quantity>& list, const Vector& theta,
                                 const Intervals* intervals) {
  std::vector<Interval> result;
  for (const Quantity& quantity : list) {
    const Ends ends = intervals == nullptr ? Ends{kNoInterval, kNoInterval} : intervals->of(quantity);
    result.push_back({quantity.name, quantity.value(theta), ends.low, ends.high});
  }
  return result;
}

double condition_allowance(const Law& law) {
  return law.form->is_centred() ? 1 : kUncentred;
}

void warn_identification(const Points& points, const Runs& runs, FitResult& result) {
  const Certificate& c = result.certificate;
  if (!c.converged) {
    result.warnings.push_back(fmt::format(
        "the fit did not converge (scaled gradient {:.1e}, decrement {:.1e})", c.gradient, c.decrement));
  }
  if (c.agreeing == 1 && c.starts > 1) {
    result.warnings.push_back("only one of the starts reached the best value; others ended in worse minima");
  }
  const double factor = condition_allowance(points.law());
  if (!(c.condition <= factor * kNotIdentified)) {
    result.warnings.push_back(
        fmt::format("not identified: condition number {:.3g} (above {}); the data do not determine the "
                    "parameters separately",
                    c.condition, factor * kNotIdentified));
  } else if (c.condition > factor * kWeak) {
    result.warnings.push_back(
        fmt::format("weakly identified: condition number {:.3g} (above {})", c.condition, factor * kWeak));
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
  const int df = runs.clusters - law.parameter_count();  // of n rows there are two at least
  if (df < 2)
    result.warnings.push_back(
        fmt::format("{} independent runs for {} parameters: {} residual degrees of freedom", runs.clusters,
                    law.parameter_count(), df));
}

void warn_floor(const Points& points, const Vector& theta, FitResult& result) {
  const int floor = points.law().form->floor_index();
  if (floor < 0) return;
  const double relative = std::exp(theta[static_cast<std::size_t>(floor)] - points.lowest_log_loss());
  const bool said = std::find(result.certificate.at_bounds.begin(), result.certificate.at_bounds.end(),
                              "E") != result.certificate.at_bounds.end();
  if (relative < kAbsentFloor && !said) {
    result.certificate.at_bounds.push_back("E");
    result.warnings.push_back("E is at its bound 0: the floor is not identified by these data");
  }
}

void warn_residuals(const Points& points, const Runs& runs, Huber huber, const Vector& theta,
                    FitResult& result) {
  if (const auto lack = lack_of_fit(points, runs, huber, theta); lack && lack->found())
    result.warnings.push_back(fmt::format(
        "lack of fit: the residuals bend (F({}, {}) = {:.1f}, p = {:.2g}), so the truth has another form and "
        "intervals and extrapolation mislead",
        lack->terms, lack->degrees, lack->F, lack->p));
  if (runs.clusters < runs.size()) return;
  if (const NeighbourCorrelation c = neighbour_correlation(points, huber, theta); c.found())
    result.warnings.push_back(fmt::format(
        "rows are not independent: residuals of neighbouring rows are alike (correlation {:.2f} of {} "
        "pairs); "
        "where they are checkpoints of one run, name it in a column 'run', or intervals are far too narrow",
        c.value, c.pairs));
}

// Whether the log of one variable is a straight line in those of the others, as N and D are at constant tokens per parameter. Then no data tell
// their exponents apart, however the condition number at the fitted ones comes out.
bool variables_move_together(const Points& points) {
  constexpr double kLeastShare = 0.02;  // of a variable's own spread that has to be left
  const int variables = static_cast<int>(points.law().variables.size());
  for (int v = 0; variables > 1 && v < variables; ++v) {
    Matrix others{};  // sums of products of deviations, v last
    std::vector<double> mean_log(static_cast<std::size_t>(variables), 0.0);
    for (int i = 0; i < points.size(); ++i)
      for (int w = 0; w < variables; ++w)
        mean_log[static_cast<std::size_t>(w)] += points.log_x(i)[w] / points.size();
    Vector with{}, shares{};
    double own = 0;
    const auto other = [v](int k) { return k < v ? k : k + 1; };
    for (int i = 0; i < points.size(); ++i) {
      const auto away = [&](int w) { return points.log_x(i)[w] - mean_log[static_cast<std::size_t>(w)]; };
      own += away(v) * away(v);
      for (int a = 0; a + 1 < variables; ++a) {
        with[static_cast<std::size_t>(a)] += away(v) * away(other(a));
        for (int b = 0; b + 1 < variables; ++b) at(others, a, b) += away(other(a)) * away(other(b));
      }
    }
    if (!solve_positive(others, with, variables - 1, shares)) return true;
    double explained = 0;
    for (std::size_t a = 0; a + 1 < static_cast<std::size_t>(variables); ++a)
      explained += with[a] * shares[a];
    if (own - explained < kLeastShare * kLeastShare * own) return true;
  }
  return false;
}

// Whether the parameters can be told apart; says so where the variables are why not.
bool is_determined(const Points& points, FitResult& result) {
  const Law& law = points.law();
  if (variables_move_together(points)) {
    result.warnings.push_back(
        fmt::format("not identified: {} move together in these runs, and no data tell their exponents apart",
                    fmt::join(law.variables, ", ")));
    return false;
  }
  return result.certificate.condition <= condition_allowance(law) * kNotIdentified;
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

// The loss at other places: of the law, and of one run more, whose noise is that of the residuals.
std::vector<Prediction> predictions_of(const Law& law, const FitResult& result, const ResidualScale& scale,
                                       const std::vector<std::vector<double>>& places) {
  std::vector<Prediction> list;
  const double noise =
      scale.degrees < 1 ? NAN : student_t_quantile(0.975, scale.degrees) * std::sqrt(scale.variance);
  for (const std::vector<double>& x : places) {
    Prediction p;
    p.at = x;
    const Quantity log_loss = {"ln L", [&](const Vector& theta) { return std::log(predict(law, theta, x)); }};
    const double value = log_loss.value(result.theta);
    p.loss.name = p.new_run.name = "loss";
    p.loss.value = p.new_run.value = std::exp(value);
    const Ends ends =
        result.intervals == nullptr ? Ends{kNoInterval, kNoInterval} : result.intervals->of(log_loss);
    p.loss.low = std::exp(ends.low), p.loss.high = std::exp(ends.high);
    p.new_run.low = std::exp(value - std::hypot(value - ends.low, noise));
    p.new_run.high = std::exp(value + std::hypot(ends.high - value, noise));
    list.push_back(std::move(p));
  }
  return list;
}

// A law that its residuals show to be wrong is no less wrong elsewhere: intervals of runs are then as wide at least as noise and discrepancy
// make them.
void allow_for_discrepancy(const Points& points, std::span<const double> weights, Huber huber,
                           const Vector& theta, FitResult& result) {
  const int degrees = points.size() - points.law().parameter_count();
  if (result.predictions.empty() || degrees < 1) return;
  const Discrepancy discrepancy = estimate_discrepancy(points, weights, theta);
  if (!discrepancy.is_significant()) return;
  result.warnings.push_back(
      fmt::format("discrepancy: runs near each other depart from the law together (likelihood ratio {:.1f}); "
                  "intervals of runs elsewhere allow for a discrepancy of {:.2g} per factor e",
                  discrepancy.likelihood_ratio, std::sqrt(discrepancy.tau_squared)));
  const double t = student_t_quantile(0.975, degrees);
  for (Prediction& p : result.predictions) {
    std::vector<double> log_x;
    for (const double x : p.at) log_x.push_back(std::log(x));
    const PredictionError error(points, weights, huber, theta, discrepancy, log_x);
    const double half = t * std::sqrt(error.variance() + discrepancy.noise), value = p.new_run.value;
    p.new_run.low = std::min(p.new_run.low, value * std::exp(-half));
    p.new_run.high = std::max(p.new_run.high, value * std::exp(half));
  }
}

void add_intervals(const Points& points, const Runs& runs, Huber huber, const Vector& theta,
                   const SurfaceOptions& options, FitResult& result) {
  if (options.intervals.resamples <= 0) return;
  std::string reason;
  result.intervals = make_intervals(points, runs, huber, theta, options.intervals, reason);
  if (result.intervals == nullptr) return result.warnings.push_back(reason);
  result.interval_method = result.intervals->method;
  for (const std::string& warning : result.intervals->warnings) result.warnings.push_back(warning);
}

void check_options(const SurfaceOptions& options) {
  using Kind = ObjectiveChoice::Kind;
  const ObjectiveChoice& objective = options.objective;
  if (options.delta && !(*options.delta > 0)) throw UsageError("--delta must be positive");
  if (options.delta && objective.kind != Kind::huber)
    throw UsageError("--delta is of --objective huber; " + objective.name() + " has none");
  if (objective.raw && objective.kind == Kind::huber && !options.delta)
    throw UsageError("--raw with --objective huber needs --delta: its default is for residuals of ln loss");
  const IntervalKind kind = options.intervals.kind;
  const bool by_likelihood =
      kind == IntervalKind::profile || kind == IntervalKind::wald || kind == IntervalKind::noise;
  if (by_likelihood && options.intervals.resamples > 0 && (objective.has_corners() || objective.raw))
    throw UsageError(fmt::format("--interval {} is for smooth losses on ln loss; with {} use bootstrap",
                                 kIntervalKinds[static_cast<int>(kind)], objective.name()));
}

struct Minimised {
  Huber huber;
  Solution solution;
};
Minimised minimise(const Points& points, std::span<const double> weights, const SurfaceOptions& options) {
  const bool estimated = options.objective.kind == ObjectiveChoice::Kind::huber && !options.delta;
  const Scale scale = estimated ? estimated_scale(points, weights) : Scale{options.delta.value_or(1), {}};
  const Huber huber = options.objective.loss(scale.delta);
  if (options.hoffmann_starts)
    return {huber, solve_from_afar(points, weights, huber, hoffmann_starts(points))};
  const std::optional<Vector> from =
      estimated ? scale.theta : continued_from_large_delta(points, weights, huber);
  return {huber, solve(points, weights, huber, from ? &*from : nullptr)};
}

void require_enough(const Law& law, const Runs& runs) {
  const int p = law.parameter_count();
  if (runs.size() >= p + 2) return;
  throw InputError(fmt::format("{} points for the {} parameters of {}; at least {} are needed", runs.size(),
                               p, law.name, p + 2));
}

void require_spread(const Points& points, const Law& law) {
  for (std::size_t v = 0; v < law.variables.size(); ++v) {
    if (points.decades(static_cast<int>(v)) > 0) continue;
    throw InputError(fmt::format("all {} rows have one value of {}: no exponent can be fitted", points.size(),
                                 law.variables[v]));
  }
}

}  // namespace

FitResult fit_surface(const Law& law, const Runs& runs, const SurfaceOptions& options) {
  require_enough(law, runs);
  check_options(options);
  const Points points(law, runs.columns, runs.loss);
  require_spread(points, law);
  const Minimised minimised = minimise(points, runs.weight, options);
  const Huber huber = minimised.huber;
  const Solution& solution = minimised.solution;

  FitResult result;
  result.law = law.name;
  result.formula = law.formula;
  result.n = runs.size();
  const bool estimated = options.objective.kind == ObjectiveChoice::Kind::huber && !options.delta;
  result.objective = options.objective.value(points, runs.weight, huber.delta, solution.theta);
  result.delta = options.objective.kind == ObjectiveChoice::Kind::huber ? huber.delta : 0;
  result.objective_kind = options.objective.name() + (estimated ? ", delta = 1.345 x residual sd" : "");
  result.certificate = solution.certificate;
  result.has_certificate = true;
  result.seed = options.intervals.seed;
  result.excluded = runs.excluded;
  result.notices = runs.notices;
  result.warnings = runs.warnings;
  result.rows = runs.row;
  result.theta = law.form->restore(solution.theta, points.centres());
  result.residuals = residuals(points, solution.theta);
  warn_identification(points, runs, result);
  warn_floor(points, solution.theta, result);
  warn_residuals(points, runs, huber, solution.theta, result);

  add_intervals(points, runs, huber, solution.theta, options, result);
  result.params = quantities(law.params, result.theta, result.intervals.get());
  const bool determined = is_determined(points, result);
  result.identified = determined && result.certificate.at_bounds.empty();
  start_floor_at_zero(points, result);
  if (determined) {
    result.optimum = quantities(law.optimum, result.theta, result.intervals.get());
  } else if (!law.optimum.empty()) {
    result.warnings.push_back("compute-optimal exponents are not given because the law is not identified");
  }
  result.variables = law.variables;
  result.predictions =
      predictions_of(law, result, residual_scale(points, runs.weight, huber, solution.theta), options.places);
  if (runs.clusters == runs.size())  // the error that rows of one run share would pass for the law's
    allow_for_discrepancy(points, runs.weight, huber, solution.theta, result);
  return result;
}

}  // namespace loglog::fit
