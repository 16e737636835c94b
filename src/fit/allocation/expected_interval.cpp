#include "fit/allocation/expected_interval.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "fit/centred_quantity.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {
namespace {

constexpr double kHuberPoint = 1.345;  // in standard deviations: 95% efficient under normal noise
constexpr double kEfficiency = 0.95;

Points points_of(const AssumedLaw& assumed, const std::vector<PlannedRun>& runs) {
  std::vector<std::vector<double>> columns(assumed.law.variables.size());
  std::vector<double> losses;
  for (const PlannedRun& run : runs) {
    for (std::size_t v = 0; v < columns.size(); ++v) columns[v].push_back(run.x[v]);
    losses.push_back(predict(assumed.law, assumed.theta, run.x));
  }
  return {assumed.law, columns, losses};
}

double t_of(const AssumedLaw& assumed, const std::vector<PlannedRun>& runs) {
  return student_t_quantile(0.975, static_cast<double>(runs.size()) - assumed.law.parameter_count());
}

double dot(const Vector& a, const Vector& b, int n) {
  double sum = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

double expected_half_width(const AssumedLaw& assumed, const std::vector<PlannedRun>& runs,
                           const Quantity& quantity) {
  const int n = assumed.law.parameter_count();
  if (static_cast<int>(runs.size()) < n + 2) return INFINITY;
  const Points points = points_of(assumed, runs);
  const Vector theta = assumed.law.form->centre(assumed.theta, points.centres());
  std::vector<Vector> slopes(runs.size());
  Matrix normal{};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    assumed.law.form->log_loss(theta, points.log_x(static_cast<int>(i)), &slopes[i], nullptr);
    for (int j = 0; j < n; ++j)
      for (int k = 0; k < n; ++k)
        at(normal, j, k) += slopes[i][static_cast<std::size_t>(j)] * slopes[i][static_cast<std::size_t>(k)];
  }
  Vector v{};
  if (!solve_positive(normal, CentredQuantity(points, quantity).gradient(theta), n, v)) return INFINITY;
  double squares = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) squares += std::pow(runs[i].noise * dot(v, slopes[i], n), 2);
  return t_of(assumed, runs) * std::sqrt(squares / kEfficiency);
}

SimulatedWidth simulated_half_width(const AssumedLaw& assumed, const std::vector<PlannedRun>& runs,
                                    const Quantity& quantity, int sweeps, std::uint64_t seed) {
  const Points points = points_of(assumed, runs);
  const Vector start = assumed.law.form->centre(assumed.theta, points.centres());
  const Bounds bounds = assumed.law.form->bounds(points);
  const CentredQuantity centred(points, quantity);
  const std::vector<double> weights(runs.size(), 1);
  double typical = 0;
  for (const PlannedRun& run : runs) typical += run.noise * run.noise / static_cast<double>(runs.size());
  const Huber huber{kHuberPoint * std::sqrt(typical)};
  std::vector<double> values;
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    const Rng rng(seed, static_cast<std::uint64_t>(sweep));
    std::vector<double> log_losses;
    for (std::size_t i = 0; i < runs.size(); ++i)
      log_losses.push_back(points.log_loss(static_cast<int>(i)) + runs[i].noise * rng.normal(i));
    const Points drawn = points.with_log_losses(std::move(log_losses));
    values.push_back(centred(descend(drawn, weights, huber, bounds, start).theta));
  }
  const double half = t_of(assumed, runs) * std::sqrt(variance(values));
  return {half, half / std::sqrt(2.0 * (sweeps - 1))};
}

const Quantity& quantity_named(const Law& law, const std::string& name) {
  std::vector<std::string> names;
  for (const auto* list : {&law.params, &law.optimum})
    for (const Quantity& q : *list) {
      if (q.name == name) return q;
      names.push_back(q.name);
    }
  throw UsageError(fmt::format("{} has no quantity {}; it has {}", law.name, name, fmt::join(names, ", ")));
}

Quantity log_loss_at(const Law& law, const std::vector<double>& x) {
  return {"loss", [&law, x](const Vector& theta) { return std::log(predict(law, theta, x)); }};
}

}  // namespace loglog::fit
