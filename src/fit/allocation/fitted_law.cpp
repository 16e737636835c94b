#include "fit/allocation/fitted_law.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "fit/surface.hpp"

namespace loglog::fit {
namespace {

const Quantity& parameter_named(const Law& law, const std::string& name) {
  const auto found = std::ranges::find(law.params, name, &Quantity::name);
  if (found != law.params.end()) return *found;
  std::vector<std::string> names;
  for (const Quantity& q : law.params) names.push_back(q.name);
  throw UsageError(fmt::format("{} has no parameter {}; it has {}", law.name, name, fmt::join(names, ", ")));
}

// Gauss's elimination with pivots. False where the rows are not independent.
bool solve_linear(Matrix a, Vector b, int n, Vector& x) {
  for (int k = 0; k < n; ++k) {
    int pivot = k;
    for (int i = k + 1; i < n; ++i)
      if (std::abs(at(a, i, k)) > std::abs(at(a, pivot, k))) pivot = i;
    if (!(std::abs(at(a, pivot, k)) > 1e-14)) return false;
    for (int j = 0; j < n; ++j) std::swap(at(a, k, j), at(a, pivot, j));
    std::swap(b[static_cast<std::size_t>(k)], b[static_cast<std::size_t>(pivot)]);
    for (int i = k + 1; i < n; ++i) {
      const double factor = at(a, i, k) / at(a, k, k);
      for (int j = k; j < n; ++j) at(a, i, j) -= factor * at(a, k, j);
      b[static_cast<std::size_t>(i)] -= factor * b[static_cast<std::size_t>(k)];
    }
  }
  for (int k = n - 1; k >= 0; --k) {
    double sum = b[static_cast<std::size_t>(k)];
    for (int j = k + 1; j < n; ++j) sum -= at(a, k, j) * x[static_cast<std::size_t>(j)];
    x[static_cast<std::size_t>(k)] = sum / at(a, k, k);
  }
  return true;
}

// Parameters are logarithms of theta or theta itself: differences of one sign and size give their slopes.
Vector newton_step(const std::vector<const Quantity*>& asked, const std::vector<double>& off,
                   const Vector& theta, const Law& law) {
  constexpr double kStep = 1e-6;
  const int n = law.parameter_count();
  Matrix slopes{};
  Vector right{}, step{};
  for (int i = 0; i < n; ++i) {
    right[static_cast<std::size_t>(i)] = -off[static_cast<std::size_t>(i)];
    for (int j = 0; j < n; ++j) {
      Vector up = theta, down = theta;
      up[static_cast<std::size_t>(j)] += kStep, down[static_cast<std::size_t>(j)] -= kStep;
      const Quantity& q = *asked[static_cast<std::size_t>(i)];
      at(slopes, i, j) =
          (q.value(up) - q.value(down)) / (2 * kStep) / std::max(1e-300, std::abs(q.value(theta)));
    }
  }
  if (!solve_linear(slopes, right, n, step))
    throw UsageError(fmt::format("these parameters of {} do not determine it: give others", law.name));
  return step;
}

}  // namespace

Interval FittedLaw::interval_of_positive(const Quantity& quantity) const {
  Interval interval{quantity.name, quantity.value(result.theta), kNoInterval, kNoInterval};
  if (result.intervals == nullptr) return interval;
  const Ends ends = result.intervals->of(
      {quantity.name, [&](const Vector& theta) { return std::log(quantity.value(theta)); }});
  interval.low = std::exp(ends.low), interval.high = std::exp(ends.high);
  return interval;
}

std::shared_ptr<const Law> law_named(const std::string& name) {
  return {&find_named("law", name, laws(), &Law::name), [](const Law*) {}};  // lives for ever
}

FittedLaw fit_law(const std::shared_ptr<const Law>& law, const Table& table,
                  const ProcedureOptions& options) {
  FittedLaw fitted{law, select_runs(table, {law->variables, options.drop_highest, false, law->response}), {}};
  fitted.result = fit_surface(
      *law, fitted.runs,
      {options.delta,
       {interval_kind_named(options.interval), options.bootstrap, options.seed, options.threads}});
  return fitted;
}

Vector theta_of(const Law& law, const std::map<std::string, double>& constants) {
  constexpr int kMostSteps = 200;
  const int n = law.parameter_count();
  std::vector<const Quantity*> asked;
  std::vector<double> values;
  for (const auto& [name, value] : constants) {
    if (!(value > 0) || std::isinf(value))
      throw UsageError(fmt::format("{} = {} is not positive and finite", name, value));
    asked.push_back(&parameter_named(law, name)), values.push_back(value);
  }
  if (static_cast<int>(asked.size()) != n)
    throw UsageError(fmt::format("{} has {} free parameters, not {}", law.name, n, asked.size()));
  Vector theta{};
  for (int i = 0; i < n; ++i) theta[static_cast<std::size_t>(i)] = 0.5;
  for (int step = 0; step < kMostSteps; ++step) {
    std::vector<double> off;
    double worst = 0;
    for (std::size_t i = 0; i < asked.size(); ++i) {
      off.push_back(asked[i]->value(theta) / values[i] - 1);
      worst = std::max(worst, std::abs(off.back()));
    }
    if (worst < 1e-14) break;
    // On logarithms a step from far above comes back in one stride instead of e-fold by e-fold.
    for (std::size_t i = 0; i < off.size(); ++i) off[i] = off[i] > -1 ? std::log1p(off[i]) : -1;
    const Vector move = newton_step(asked, off, theta, law);
    double longest = 0;
    for (int i = 0; i < n; ++i) longest = std::max(longest, std::abs(move[static_cast<std::size_t>(i)]));
    for (int i = 0; i < n; ++i)
      theta[static_cast<std::size_t>(i)] += std::min(1.0, 5 / longest) * move[static_cast<std::size_t>(i)];
    if (longest < 1e-15) break;
  }
  for (std::size_t i = 0; i < asked.size(); ++i)
    if (!(std::abs(asked[i]->value(theta) / values[i] - 1) < 1e-9))
      throw UsageError(fmt::format("{} cannot have {} = {}", law.name, asked[i]->name, values[i]));
  return theta;
}

}  // namespace loglog::fit
