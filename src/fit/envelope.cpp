#include "fit/envelope.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "base/stats.hpp"
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

struct Lines {
  std::vector<double> log_C;
  Line N, D;
};

// Nothing below four points.
std::optional<Lines> lines_through(const std::vector<Budget>& points) {
  Lines lines;
  std::vector<double> log_N, log_D;
  for (const Budget& point : points) {
    if (!point.used) continue;
    lines.log_C.push_back(std::log(point.C));
    log_N.push_back(std::log(point.N_opt));
    log_D.push_back(std::log(point.D_opt));
  }
  if (static_cast<int>(log_N.size()) < kFewestPoints) return std::nullopt;
  const std::vector<double> equal(log_N.size(), 1.0);
  lines.N = fit_line(lines.log_C, log_N, equal);
  lines.D = fit_line(lines.log_C, log_D, equal);
  return lines;
}

// Sampling sd of slope and intercept of one of these lines, from its own scatter.
struct LineErrors {
  double slope, intercept;
};
LineErrors errors_of(const std::vector<double>& x, const Line& line) {
  const auto n = static_cast<double>(x.size());
  const double spread = variance(x) * (n - 1), noise = std::sqrt(line.chi_square / (n - 2));
  return {noise / std::sqrt(spread), noise * std::sqrt(1 / n + mean(x) * mean(x) / spread)};
}

}  // namespace

FitResult fit_envelope(const Runs& runs, const EnvelopeOptions& options) {
  FitResult result;
  result.law = "envelope";
  result.formula = "runs that no cheaper run beats";
  result.n = runs.size();
  result.excluded = runs.excluded;
  result.notices = runs.notices;
  result.warnings = runs.warnings;
  result.rows = runs.row;
  result.budgets = envelope_of(runs);
  const std::optional<Lines> lines = lines_through(result.budgets);
  if (!lines) {
    throw InputError(fmt::format(
        "{} runs on the envelope, at least {} are needed",
        std::count_if(result.budgets.begin(), result.budgets.end(), [](const Budget& b) { return b.used; }),
        kFewestPoints));
  }
  result.objective = lines->N.chi_square;
  result.objective_kind = "sum of squares of ln N_opt";
  if (options.intervals) {
    result.interval_t = student_t_quantile(0.975, static_cast<double>(lines->log_C.size()) - 2);
    result.interval_method = "scatter about the line, Student's t";
  }
  const double t = result.interval_t;
  const LineErrors of_N = errors_of(lines->log_C, lines->N), of_D = errors_of(lines->log_C, lines->D);
  const auto exponent = [t](const char* name, double value, double error) {
    return Interval{name, value, value - t * error, value + t * error};
  };
  const auto coefficient = [t](const char* name, double log_value, double error) {
    return Interval{name, std::exp(log_value), std::exp(log_value - t * error),
                    std::exp(log_value + t * error)};
  };
  result.params = {coefficient("k_N", lines->N.intercept, of_N.intercept),
                   coefficient("k_D", lines->D.intercept, of_D.intercept)};
  result.optimum = {exponent("a", lines->N.slope, of_N.slope), exponent("b", lines->D.slope, of_D.slope)};
  result.warnings.push_back(
      "the least of several noisy losses is biased low; prefer isoflop where sizes repeat per budget");
  return result;
}

}  // namespace loglog::fit
