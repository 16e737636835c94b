#include "report/from_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/stats.hpp"
#include "fit/bootstrap.hpp"
#include "fit/law.hpp"

namespace loglog::report {
namespace {

constexpr int kFrontierSteps = 24;
constexpr double kNoBound = std::numeric_limits<double>::quiet_NaN();

Estimates estimates(const std::vector<fit::Interval>& intervals) {
  Estimates list;
  for (const fit::Interval& i : intervals) list.push_back({i.name, {i.value, i.low, i.high}});
  return list;
}

struct ComputeRange {
  double low = std::numeric_limits<double>::infinity();
  double high = 0;
  double per_token_and_parameter = 6;  // C / (N D), the median of the runs
};

ComputeRange compute_range(std::span<const ReportRun> runs) {
  ComputeRange range;
  std::vector<double> ratios;
  for (const ReportRun& run : runs) {
    if (!run.loss || !(run.c > 0)) continue;
    range.low = std::min(range.low, run.c);
    range.high = std::max(range.high, run.c);
    ratios.push_back(run.c / (run.n * run.d));
  }
  if (!ratios.empty()) range.per_token_and_parameter = median(ratios);
  return range;
}

std::vector<double> steps(const ComputeRange& range) {
  std::vector<double> c;
  if (!(range.low < range.high)) return c;
  for (int i = 0; i <= kFrontierSteps; ++i)
    c.push_back(range.low * std::pow(range.high / range.low, static_cast<double>(i) / kFrontierSteps));
  return c;
}

// The N of least loss among all (N, D = c / (k N)), by golden section in ln N. Every law of the list has one
// minimum along such a line.
double best_size(const fit::Law& law, const fit::Vector& theta, double c, double k) {
  constexpr double kGolden = 0.6180339887498949;
  const auto loss = [&](double log_n) {
    const double x[] = {std::exp(log_n), c / k / std::exp(log_n)};
    return fit::predict(law, theta, x);
  };
  double low = 0;
  double high = std::log(c / k);
  while (high - low > 1e-6) {
    const double left = high - kGolden * (high - low);
    const double right = low + kGolden * (high - low);
    (loss(left) < loss(right) ? high : low) = loss(left) < loss(right) ? right : left;
  }
  return std::exp((low + high) / 2);
}

// Approach 3: the frontier of the law, its band from the bootstrap by the rule of the table's intervals.
std::vector<FrontierPoint> surface_frontier(const fit::Law& law, const fit::FitResult& result,
                                            const ComputeRange& range) {
  std::vector<FrontierPoint> frontier;
  if (law.variables != std::vector<std::string>{"N", "D"} || result.optimum.empty()) return frontier;
  for (const double c : steps(range)) {
    const fit::Quantity log_size = {
        "ln N_opt", [&](const fit::Vector& theta) {
          return std::log(best_size(law, theta, c, range.per_token_and_parameter));
        }};
    const fit::Ends ends =
        result.intervals ? result.intervals->of(log_size) : fit::Ends{fit::kNoInterval, fit::kNoInterval};
    frontier.push_back(
        {c, {std::exp(log_size.value(result.theta)), std::exp(ends.low), std::exp(ends.high)}});
  }
  return frontier;
}

// Approach 2: the weighted line of ln N_opt in ln C. Its band has the shape of a regression's, scaled so that
// the slope's interval is the one that the fitter gave.
std::vector<FrontierPoint> line_frontier(const fit::FitResult& result, const ComputeRange& range) {
  std::vector<FrontierPoint> frontier;
  if (result.optimum.empty()) return frontier;
  double weight = 0;
  double mean_c = 0;
  double mean_n = 0;
  double spread = 0;
  const auto weight_of = [](const fit::Budget& b) { return b.se_log_N > 0 ? std::pow(b.se_log_N, -2) : 1.0; };
  for (const fit::Budget& b : result.budgets) {
    if (!b.used) continue;
    weight += weight_of(b);
    mean_c += weight_of(b) * std::log(b.C);
    mean_n += weight_of(b) * std::log(b.N_opt);
  }
  if (!(weight > 0)) return frontier;
  mean_c /= weight;
  mean_n /= weight;
  for (const fit::Budget& b : result.budgets) {
    if (b.used) spread += weight_of(b) * std::pow(std::log(b.C) - mean_c, 2);
  }
  const fit::Interval& a = result.optimum.front();
  const double scale = 0.5 * (a.high - a.low) * std::sqrt(spread);
  for (const double c : steps(range)) {
    const double x = std::log(c) - mean_c;
    const double log_n = mean_n + a.value * x;
    const double half = scale * std::sqrt(1 / weight + x * x / spread);
    frontier.push_back({c, {std::exp(log_n), std::exp(log_n - half), std::exp(log_n + half)}});
  }
  return frontier;
}

IsoflopBudget budget_of(const fit::Budget& b, double t) {
  IsoflopBudget budget{b.C, nullptr, std::nullopt, b.loss, b.reason};
  if (b.used) {
    const double factor = b.se_log_N > 0 ? std::exp(t * b.se_log_N) : kNoBound;
    budget.best_n = Estimate{b.N_opt, b.N_opt / factor, b.N_opt * factor};
  }
  if (b.parabola.size() == 4) {
    budget.loss = [p = b.parabola](double n) {
      const double u = std::log(n) - p[3];
      return p[0] + u * (p[1] + u * p[2]);
    };
  }
  return budget;
}

std::vector<std::pair<std::string, std::string>> certificate_of(const fit::FitResult& r) {
  std::vector<std::pair<std::string, std::string>> rows = {
      {"objective", fmt::format("{:.9e} ({})", r.objective, r.objective_kind)}};
  if (!r.interval_method.empty()) rows.push_back({"intervals", "95%, " + r.interval_method});
  if (!r.has_certificate) return rows;
  const fit::Certificate& c = r.certificate;
  rows.push_back({"converged", c.converged ? "yes" : "NO"});
  rows.push_back(
      {"starts that agree", fmt::format("{} of {}, spread {:.1e}", c.agreeing, c.starts, c.spread)});
  rows.push_back({"scaled gradient, decrement", fmt::format("{:.1e}, {:.1e}", c.gradient, c.decrement)});
  rows.push_back({"least eigenvalue of the scaled Hessian", fmt::format("{:.3g}", c.min_eigenvalue)});
  rows.push_back({"condition number", fmt::format("{:.3g}", c.condition)});
  rows.push_back({"moved from its start by", fmt::format("{:.3g}", c.moved)});
  return rows;
}

}  // namespace

LawFit law_fit(const fit::Procedure& procedure, const fit::FitResult& result,
               std::span<const ReportRun> runs) {
  LawFit shown{procedure.name, result.formula, procedure.source};
  shown.runs = static_cast<std::size_t>(result.n);
  shown.params = estimates(result.params);
  shown.optimum = estimates(result.optimum);
  shown.certificate = certificate_of(result);
  shown.warnings = result.warnings;
  shown.json = fit::to_json(result);
  for (const fit::Budget& b : result.budgets) {
    shown.budgets.push_back(budget_of(b, result.interval_t));
    if (!b.used) shown.runs -= static_cast<std::size_t>(b.points);
  }
  const ComputeRange range = compute_range(runs);
  if (const fit::Law* law = fit::find_law(procedure.name)) {
    shown.variables = law->variables;
    shown.predict = [law, theta = result.theta](const std::vector<double>& x) {
      return fit::predict(*law, theta, x);
    };
    shown.frontier = surface_frontier(*law, result, range);
    shown.identified = result.identified;
  } else {
    shown.frontier = line_frontier(result, range);
  }
  return shown;
}

}  // namespace loglog::report
