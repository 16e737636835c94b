#include "fit/isoflop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "fit/bootstrap.hpp"
#include "fit/budgets.hpp"
#include "fit/interpolate.hpp"
#include "fit/noise.hpp"
#include "fit/parallel.hpp"
#include "fit/regression.hpp"

namespace loglog::fit {
namespace {

constexpr int kGridPerInterval = 25;  // Porian et al.'s grid for Akima
constexpr int kFewestBudgets = 3;

struct Minimum {
  double log_N;
  double log_D;
  double loss;
  std::optional<Parabola> parabola;
};

std::optional<Minimum> parabola_minimum(const BudgetPoints& b, const std::vector<double>& loss) {
  const auto in_N = fit_parabola(b.log_N, loss, b.weight);
  const auto in_D = fit_parabola(b.log_D, loss, b.weight);
  if (!in_N || !in_D || !(in_N->p2 > 0) || !(in_D->p2 > 0)) return std::nullopt;
  const double vertex = in_N->vertex();
  return Minimum{vertex, in_D->vertex(), (*in_N)(vertex), in_N};
}

std::optional<Minimum> akima_minimum(const BudgetPoints& b, const std::vector<double>& loss) {
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> log_D;
  for (std::size_t i = 0; i < loss.size();) {  // points are ordered by N; repeats are averaged
    std::size_t end = i;
    double sum = 0;
    for (; end < loss.size() && b.log_N[end] == b.log_N[i]; ++end) sum += std::log(loss[end]);
    x.push_back(b.log_N[i]);
    y.push_back(sum / static_cast<double>(end - i));
    log_D.push_back(b.log_D[i]);
    i = end;
  }
  if (x.size() < 4) return std::nullopt;
  const Akima curve(x, y);
  const int grid = static_cast<int>(x.size() - 1) * kGridPerInterval;
  const double step = (x.back() - x.front()) / (grid - 1);
  int best = 0;
  for (int k = 1; k < grid; ++k) {
    if (curve(x.front() + k * step) < curve(x.front() + best * step)) best = k;
  }
  if (best == 0 || best == grid - 1) return std::nullopt;
  const double log_N = x.front() + best * step;
  const auto i =
      static_cast<std::size_t>(std::upper_bound(x.begin() + 1, x.end() - 1, log_N) - x.begin()) - 1;
  const double t = (log_N - x[i]) / (x[i + 1] - x[i]);
  return Minimum{log_N, log_D[i] + t * (log_D[i + 1] - log_D[i]), std::exp(curve(log_N)), std::nullopt};
}

std::optional<Minimum> minimum(const BudgetPoints& b, const std::vector<double>& loss,
                               Interpolation interpolation) {
  return interpolation == Interpolation::parabola ? parabola_minimum(b, loss) : akima_minimum(b, loss);
}

struct Fitted {
  BudgetPoints points;
  Minimum minimum;
  std::vector<double> smooth;  // the loss without its noise, as far as known
};

// Applies the interior-minimum rule; one Budget per group goes to `report`.
std::vector<Fitted> find_minima(const std::vector<BudgetPoints>& groups, const IsoflopOptions& options,
                                std::vector<Budget>& report) {
  std::vector<Fitted> fitted;
  for (const BudgetPoints& group : groups) {
    Budget budget;
    budget.C = group.C;
    budget.points = static_cast<int>(group.loss.size());
    budget.sizes = group.sizes();
    const std::optional<Minimum> found = minimum(group, group.loss, options.interpolation);
    if (!found) {
      budget.reason = budget.sizes < 3 ? "fewer than three sizes" : "no interior minimum";
      report.push_back(budget);
      continue;
    }
    const int below = group.sizes_below(found->log_N);
    const int above = budget.sizes - below;
    if (below < options.sides || above < options.sides) {
      budget.reason = fmt::format("{} sizes below the minimum and {} above; {} needed on each side",
                                  std::max(below, 0), above, options.sides);
      report.push_back(budget);
      continue;
    }
    budget.used = true;
    budget.N_opt = std::exp(found->log_N);
    budget.D_opt = std::exp(found->log_D);
    budget.loss = found->loss;
    if (found->parabola)
      budget.parabola = {found->parabola->p0, found->parabola->p1, found->parabola->p2,
                         found->parabola->centre};
    report.push_back(budget);
    std::vector<double> smooth = group.loss;
    if (found->parabola) {
      for (std::size_t i = 0; i < smooth.size(); ++i) smooth[i] = (*found->parabola)(group.log_N[i]);
    }
    fitted.push_back({group, *found, smooth});
  }
  return fitted;
}

// Where the losses of a replicate come from: normal seed noise, or the pooled residuals of the parabolas.
struct NoiseSource {
  std::function<double(double)> sigma;  // empty: residuals
  std::vector<double> residuals;        // relative, scaled up for the three numbers that each parabola took
  double degrees_of_freedom = 0;
  std::string method;
};

std::optional<NoiseSource> noise_source(const std::vector<Fitted>& fitted, std::optional<SeedNoise> known,
                                        const IsoflopOptions& options) {
  if (known) return NoiseSource{known->sigma, {}, known->degrees_of_freedom, known->method};
  if (options.interpolation == Interpolation::akima)
    return std::nullopt;  // passes through its points: no residuals
  NoiseSource source;
  for (const Fitted& f : fitted) {
    const double n = static_cast<double>(f.smooth.size());
    if (n <= 3) continue;
    for (std::size_t i = 0; i < f.smooth.size(); ++i) {
      source.residuals.push_back((f.points.loss[i] / f.smooth[i] - 1) * std::sqrt(n / (n - 3)));
    }
    source.degrees_of_freedom += n - 3;
  }
  if (source.degrees_of_freedom < 2) return std::nullopt;
  source.method = "residuals of the parabolas";
  return source;
}

// ln N and ln D of the minima of one replicate; NaN where a replicate has none.
struct Replica {
  std::vector<double> log_N;
  std::vector<double> log_D;
};

Replica replicate(const std::vector<Fitted>& fitted, const NoiseSource& noise, Interpolation interpolation,
                  const Rng& rng) {
  Replica replica;
  std::uint64_t draw = 0;
  for (const Fitted& f : fitted) {
    std::vector<double> loss = f.smooth;
    for (std::size_t i = 0; i < loss.size(); ++i, ++draw) {
      const double relative = noise.sigma ? noise.sigma(std::exp(f.points.log_N[i])) * rng.normal(draw)
                                          : noise.residuals[rng.below(draw, noise.residuals.size())];
      loss[i] *= 1 + relative;
    }
    const std::optional<Minimum> found = minimum(f.points, loss, interpolation);
    replica.log_N.push_back(found ? found->log_N : NAN);
    replica.log_D.push_back(found ? found->log_D : NAN);
  }
  return replica;
}

std::vector<double> finite(const std::vector<Replica>& replicas, std::size_t budget) {
  std::vector<double> values;
  for (const Replica& replica : replicas) {
    if (std::isfinite(replica.log_N[budget])) values.push_back(replica.log_N[budget]);
  }
  return values;
}

struct Allocation {  // a, b and the coefficients of N_opt = k_N C^a, D_opt = k_D C^b
  double a, b, k_N, k_D, chi_square;
};

std::optional<Allocation> allocate(const std::vector<double>& log_C, const Replica& minima,
                                   const std::vector<double>& weight) {
  std::vector<double> x, log_N, log_D, w;
  for (std::size_t i = 0; i < log_C.size(); ++i) {
    if (weight[i] == 0) continue;
    if (!std::isfinite(minima.log_N[i]) || !std::isfinite(minima.log_D[i])) return std::nullopt;
    x.push_back(log_C[i]);
    log_N.push_back(minima.log_N[i]);
    log_D.push_back(minima.log_D[i]);
    w.push_back(weight[i]);
  }
  if (x.size() < 2) return std::nullopt;
  const Line N = fit_line(x, log_N, w);
  const Line D = fit_line(x, log_D, w);
  return Allocation{N.slope, D.slope, std::exp(N.intercept), std::exp(D.intercept), N.chi_square};
}

Interval interval(const std::string& name, double Allocation::*member, const Allocation& point,
                  const std::vector<Allocation>& samples, double t) {
  std::vector<double> values;
  for (const Allocation& sample : samples) values.push_back(sample.*member);
  const Ends ends = expanded_percentiles(values, t);
  return {name, point.*member, ends.low, ends.high};
}

// Says which minima the noise can make disappear. A replica without one of its minima gives no allocation, so
// the intervals hold for the cases where all exist: they are too narrow exactly where the data are weak.
void warn_lost_minima(const std::vector<Replica>& replicas, const std::vector<Budget>& budgets,
                      FitResult& result) {
  constexpr double kWorthSaying = 0.01;
  std::size_t index = 0;
  for (const Budget& budget : budgets) {
    if (!budget.used) continue;
    const double lost =
        1 - static_cast<double>(finite(replicas, index++).size()) / static_cast<double>(replicas.size());
    if (lost <= kWorthSaying) continue;
    result.warnings.push_back(fmt::format(
        "budget C = {:.4g}: no minimum in {:.0f}% of the resamples; the intervals leave those out and "
        "are too narrow",
        budget.C, 100 * lost));
  }
}

// Sampling sd of each ln N_opt from the middle 68% of replicas, insensitive to a parabola that nearly
// degenerates. A budget that has no minimum in any replica gets weight 0.
bool set_weights(const std::vector<Replica>& replicas, const std::vector<Fitted>& fitted,
                 Interpolation interpolation, std::vector<Budget>& budgets, std::vector<double>& weight) {
  std::size_t index = 0;
  bool usable = true;
  for (Budget& budget : budgets) {
    if (!budget.used) continue;
    const std::vector<double> values = finite(replicas, index);
    if (values.empty()) {
      budget.se_log_N = NAN;
      weight[index++] = 0;
      continue;
    }
    budget.se_log_N = 0.5 * (quantile(values, 0.8413) - quantile(values, 0.1587));
    double grid_error = 0;
    if (interpolation == Interpolation::akima) {
      const std::vector<double>& x = fitted[index].points.log_N;
      grid_error = (x.back() - x.front()) / (fitted[index].points.sizes() - 1) / kGridPerInterval / 3;
    }
    weight[index] = 1 / (budget.se_log_N * budget.se_log_N + grid_error * grid_error);
    usable = usable && std::isfinite(weight[index]);
    ++index;
  }
  if (!usable) std::fill(weight.begin(), weight.end(), 1.0);  // noise-free data
  return usable;
}

struct Sampling {
  std::vector<Allocation> samples;
  double t = NAN;         // quantile for the degrees of freedom behind the noise
  bool weighted = false;  // the regression used the sampling sd of each minimum
};

Sampling sample_allocations(const std::vector<Fitted>& fitted, const std::vector<double>& log_C,
                            const NoiseSource& noise, const IsoflopOptions& options, FitResult& result,
                            std::vector<double>& weight) {
  std::vector<Replica> replicas(static_cast<std::size_t>(options.bootstrap));
  for_each_index(options.threads, options.bootstrap, [&](int b) {
    replicas[static_cast<std::size_t>(b)] =
        replicate(fitted, noise, options.interpolation, Rng(options.seed, static_cast<std::uint64_t>(b)));
  });
  Sampling sampling;
  warn_lost_minima(replicas, result.budgets, result);
  sampling.weighted = set_weights(replicas, fitted, options.interpolation, result.budgets, weight);
  for (const Replica& replica : replicas) {
    if (const auto sample = allocate(log_C, replica, weight)) sampling.samples.push_back(*sample);
  }
  const double df = noise.degrees_of_freedom;
  sampling.t = std::isfinite(df) ? student_t_quantile(0.975, df) : normal_quantile(0.975);
  return sampling;
}

// Weights by the known seed noise, which grows towards small sizes.
void weigh_by_noise(const SeedNoise& noise, std::vector<BudgetPoints>& groups) {
  for (BudgetPoints& group : groups) {
    for (std::size_t i = 0; i < group.loss.size(); ++i) {
      group.weight[i] /= std::pow(noise.sigma(std::exp(group.log_N[i])) * group.loss[i], 2);
    }
  }
}

void warn_scatter(double chi_square, std::size_t budgets, const NoiseSource& noise, FitResult& result) {
  constexpr double kManyDegrees = 1e6;  // stands for a noise that is known exactly
  const double df = static_cast<double>(budgets) - 2;
  const double noise_df = std::min(noise.degrees_of_freedom, kManyDegrees);
  if (chi_square / df <= f_quantile(0.99, df, noise_df)) return;
  result.warnings.push_back(
      fmt::format("the minima scatter about the power law more than the noise explains (chi-square {:.1f} "
                  "for {} degrees of "
                  "freedom): the intervals are too narrow",
                  chi_square, df));
}

void check_count(const std::vector<Fitted>& fitted, const std::vector<Budget>& budgets) {
  if (fitted.size() >= kFewestBudgets) return;
  std::string message =
      fmt::format("{} budgets have a usable minimum, at least {} are needed", fitted.size(), kFewestBudgets);
  for (const Budget& b : budgets) {
    if (!b.used) message += fmt::format("; C = {:.3g}: {}", b.C, b.reason);
  }
  throw InputError(message);
}

}  // namespace

Interpolation interpolation_named(std::string_view name) {
  if (name == "parabola") return Interpolation::parabola;
  if (name == "akima") return Interpolation::akima;
  constexpr std::string_view kKnown[] = {"parabola", "akima"};
  throw_unknown_name("interpolation", name, kKnown);
}

namespace {

// As the user says, else from repeats; nothing where there are too few.
std::optional<SeedNoise> known_noise(const std::vector<BudgetPoints>& groups, const Runs& runs,
                                     const IsoflopOptions& options, std::vector<std::string>& warnings) {
  const Replicates repeats = replicates_of(groups);
  if (repeats.other_cells > 0) {
    warnings.push_back(fmt::format(
        "{} sizes of a budget have several runs of one seed, which differ in something else: their "
        "spread is not taken for seed noise, and a fit of them all may not be what is meant",
        repeats.other_cells));
  }
  if (!options.sigma.empty()) return given_noise(options.sigma, runs.column("N"));
  return estimated_noise(repeats.losses);
}

}  // namespace

FitResult fit_isoflop(const Runs& runs, const IsoflopOptions& options) {
  FitResult result;
  result.law = "isoflop";
  result.formula = options.interpolation == Interpolation::parabola ? "parabola in ln N at each C"
                                                                    : "Akima curve of ln L in ln N at each C";
  result.n = runs.size();
  result.seed = options.seed;
  result.excluded = runs.excluded;
  result.notices = runs.notices;
  result.warnings = runs.warnings;
  result.rows = runs.row;

  std::vector<BudgetPoints> groups = group_budgets(runs);
  const std::optional<SeedNoise> known = known_noise(groups, runs, options, result.warnings);
  if (known) weigh_by_noise(*known, groups);
  const std::vector<Fitted> fitted = find_minima(groups, options, result.budgets);
  check_count(fitted, result.budgets);
  for (const Budget& b : result.budgets) {
    if (!b.used) result.warnings.push_back(fmt::format("budget C = {:.4g} not used: {}", b.C, b.reason));
  }

  std::vector<double> log_C;
  Replica minima;
  for (const Fitted& f : fitted) {
    log_C.push_back(std::log(f.points.C));
    minima.log_N.push_back(f.minimum.log_N);
    minima.log_D.push_back(f.minimum.log_D);
  }
  std::vector<double> weight(fitted.size(), 1.0);
  const std::optional<NoiseSource> noise = noise_source(fitted, known, options);
  Sampling sampling;
  if (!noise) {
    result.warnings.push_back(
        "no intervals: no repeated seeds, no --sigma and no residuals to take the noise from");
  } else if (options.bootstrap > 0) {
    sampling = sample_allocations(fitted, log_C, *noise, options, result, weight);
    result.interval_method =
        fmt::format("losses made anew {} times from {}", options.bootstrap, noise->method);
  }
  const std::optional<Allocation> allocation = allocate(log_C, minima, weight);
  if (!allocation) throw InputError("the noise leaves fewer than two budgets with a minimum: nothing to fit");
  const Allocation& point = *allocation;
  const auto with_interval = [&](const char* name, double Allocation::*member) {
    return interval(name, member, point, sampling.samples, sampling.t);
  };
  result.interval_t = sampling.t;
  result.params = {with_interval("k_N", &Allocation::k_N), with_interval("k_D", &Allocation::k_D)};
  result.optimum = {with_interval("a", &Allocation::a), with_interval("b", &Allocation::b)};
  result.objective = point.chi_square;
  result.objective_kind = sampling.weighted ? "chi-square of ln N_opt" : "sum of squares of ln N_opt";
  if (sampling.weighted) warn_scatter(point.chi_square, fitted.size(), *noise, result);
  return result;
}

}  // namespace loglog::fit
