#include "fit/envelope.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "fit/bootstrap.hpp"
#include "fit/budgets.hpp"
#include "fit/regression.hpp"

namespace loglog::fit {
namespace {

constexpr int kFewestPoints = 4;

std::vector<Budget> envelope_of(const Runs& runs) {
  std::vector<Budget> points;
  double least = INFINITY;
  for (const BudgetPoints& group : group_budgets(runs)) {
    const auto best =
        static_cast<std::size_t>(std::min_element(group.loss.begin(), group.loss.end()) - group.loss.begin());
    Budget point;
    point.C = group.C;
    point.points = static_cast<int>(group.loss.size());
    point.sizes = group.sizes();
    point.N_opt = std::exp(group.log_N[best]);
    point.D_opt = std::exp(group.log_D[best]);
    point.loss = group.loss[best];
    const bool edge = group.log_N[best] == group.log_N.front() || group.log_N[best] == group.log_N.back();
    if (point.loss >= least) {
      point.reason = "a cheaper run is better";
    } else if (point.sizes >= 3 && edge) {
      point.reason = "the best run is at the edge of the sizes";
    }
    point.used = point.reason.empty();
    least = std::min(least, point.loss);
    points.push_back(point);
  }
  return points;
}

struct Allocation {
  double a, b, k_N, k_D;
};

bool allocate(const std::vector<Budget>& points, Allocation& out, double& squares) {
  std::vector<double> x, log_N, log_D;
  for (const Budget& point : points) {
    if (!point.used) continue;
    x.push_back(std::log(point.C));
    log_N.push_back(std::log(point.N_opt));
    log_D.push_back(std::log(point.D_opt));
  }
  if (static_cast<int>(x.size()) < kFewestPoints) return false;
  const std::vector<double> equal(x.size(), 1.0);
  const Line N = fit_line(x, log_N, equal);
  const Line D = fit_line(x, log_D, equal);
  out = {N.slope, D.slope, std::exp(N.intercept), std::exp(D.intercept)};
  squares = N.chi_square;
  return true;
}

Runs resampled(const Runs& runs, const std::vector<double>& counts) {
  Runs result;
  result.variables = runs.variables;
  result.columns.resize(runs.columns.size());
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;  // a row drawn twice is no better than once
    for (std::size_t v = 0; v < runs.columns.size(); ++v) result.columns[v].push_back(runs.columns[v][i]);
    if (!runs.budget.empty()) result.budget.push_back(runs.budget[i]);
    result.loss.push_back(runs.loss[i]);
    result.weight.push_back(runs.weight[i]);
  }
  return result;
}

}  // namespace

FitResult fit_envelope(const Runs& runs, const EnvelopeOptions& options) {
  FitResult result;
  result.law = "envelope";
  result.formula = "runs that no cheaper run beats";
  result.n = runs.size();
  result.seed = options.seed;
  result.excluded = runs.excluded;
  result.notices = runs.notices;
  result.warnings = runs.warnings;
  result.rows = runs.row;
  result.budgets = envelope_of(runs);
  Allocation point{};
  if (!allocate(result.budgets, point, result.objective)) {
    throw InputError(fmt::format(
        "{} runs on the envelope, at least {} are needed",
        std::count_if(result.budgets.begin(), result.budgets.end(), [](const Budget& b) { return b.used; }),
        kFewestPoints));
  }
  result.objective_kind = "sum of squares of ln N_opt";
  std::vector<double> a, b, k_N, k_D;
  for (int r = 0; r < options.bootstrap; ++r) {
    const auto counts =
        resample_counts(runs.cluster, runs.clusters, options.seed, static_cast<std::uint64_t>(r));
    Allocation sample{};
    double ignored = 0;
    if (!allocate(envelope_of(resampled(runs, counts)), sample, ignored)) continue;
    a.push_back(sample.a);
    b.push_back(sample.b);
    k_N.push_back(sample.k_N);
    k_D.push_back(sample.k_D);
  }
  const int used = static_cast<int>(
      std::count_if(result.budgets.begin(), result.budgets.end(), [](const Budget& p) { return p.used; }));
  const double t = pair_bootstrap_t(used, 2);
  result.interval_t = t;
  const auto interval = [t](const std::string& name, double value, const std::vector<double>& values) {
    const Ends ends = expanded_percentiles(values, t);
    return Interval{name, value, ends.low, ends.high};
  };
  result.params = {interval("k_N", point.k_N, k_N), interval("k_D", point.k_D, k_D)};
  result.optimum = {interval("a", point.a, a), interval("b", point.b, b)};
  if (options.bootstrap > 0) {
    result.interval_method =
        fmt::format("run bootstrap, {} resamples, expanded percentiles", options.bootstrap);
    const int failed = options.bootstrap - static_cast<int>(a.size());
    if (failed * 10 > options.bootstrap) {
      result.warnings.push_back(
          fmt::format("{} of {} resamples left too few runs on the envelope", failed, options.bootstrap));
    }
  }
  result.warnings.push_back(
      "the least of several noisy losses is biased low; prefer isoflop where sizes repeat per budget");
  return result;
}

}  // namespace loglog::fit
