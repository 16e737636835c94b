#include "fit/choice/influence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/stats.hpp"
#include "fit/parallel.hpp"
#include "fit/profile.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isfinite(value)) return value;
  return nullptr;
}

// |t| that the largest of n passes with probability 5%.
double outlier_limit(int n, int degrees) {
  return degrees < 1 ? INFINITY : student_t_quantile(1 - 0.025 / n, degrees);
}

// v' m^-1 v; NaN where m is not positive definite.
double inverse_form(const Matrix& m, const Vector& v, int n) {
  Vector x{};
  if (!solve_positive(m, v, n, x)) return NAN;
  return std::inner_product(v.begin(), v.begin() + n, x.begin(), 0.0);
}

double form(const Matrix& m, const Vector& v, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      sum += v[static_cast<std::size_t>(i)] * at(m, i, j) * v[static_cast<std::size_t>(j)];
  return sum;
}

// A fit and all that single rows are measured with.
struct Measured {
  Vector theta{};        // centred
  Matrix information{};  // J'WJ
  double variance = 0;   // s^2
};

class Leaver {
 public:
  Leaver(const Law& law, const Runs& runs, const FitResult& fit)
      : law_(law), runs_(runs), points_(law, runs.columns, runs.loss), huber_{fit.delta} {
    full_ = measured(law.form->centre(fit.theta, points_.centres()), runs.weight);
  }

  Measured without(int cluster) const {
    std::vector<double> weights = runs_.weight;
    for (std::size_t i = 0; i < weights.size(); ++i)
      if (runs_.cluster[i] == cluster) weights[i] = 0;
    const Descent end = descend(points_, weights, huber_, law_.form->bounds(points_), full_.theta);
    if (end.converged()) return measured(end.theta, weights);
    const Solution retry = solve(points_, weights, huber_);
    return measured(retry.value < end.value ? retry.theta : end.theta, weights);
  }

  // All that is said of the rows of one run.
  void measure(int cluster, std::vector<Influence>& rows) const {
    const Measured less = without(cluster);
    const int p = law_.parameter_count();
    Vector moved{};
    for (std::size_t k = 0; k < moved.size(); ++k) moved[k] = less.theta[k] - full_.theta[k];
    const double cook = form(full_.information, moved, p) / (p * full_.variance);
    const Vector before = restored(full_.theta), after = restored(less.theta);
    for (Influence& row : rows) {
      const auto i = static_cast<std::size_t>(row.row);
      if (runs_.cluster[i] != cluster) continue;
      Vector slope{};
      const double* x = points_.log_x(row.row);
      const double r = law_.form->log_loss(full_.theta, x, &slope, nullptr) - points_.log_loss(row.row);
      row.residual = -r;
      row.leverage = runs_.weight[i] * secant(r) * inverse_form(full_.information, slope, p);
      const double missed = points_.log_loss(row.row) - law_.form->log_loss(less.theta, x, &slope, nullptr);
      row.studentised = missed / std::sqrt(less.variance *
                                           (1 / runs_.weight[i] + inverse_form(less.information, slope, p)));
      row.cook = cook;
      for (const Quantity& q : law_.params) row.change.push_back(q.value(after) - q.value(before));
    }
  }

 private:
  Measured measured(const Vector& theta, const std::vector<double>& weights) const {
    return {theta, expand(points_, weights, huber_, theta).gauss_newton,
            residual_scale(points_, weights, huber_, theta).variance};
  }
  double secant(double r) const { return r == 0 ? 1 : huber_.slope(r) / r; }
  Vector restored(const Vector& theta) const { return law_.form->restore(theta, points_.centres()); }

  const Law& law_;
  const Runs& runs_;
  Points points_;
  Huber huber_;
  Measured full_;
};

}  // namespace

std::vector<int> InfluenceReport::outliers() const {
  std::vector<int> list;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].outlier) list.push_back(static_cast<int>(i));
  std::ranges::stable_sort(list, std::greater(),
                           [&](int i) { return std::abs(rows[static_cast<std::size_t>(i)].studentised); });
  return list;
}

std::vector<int> far_rows(const FitResult& result, int parameters) {
  constexpr double kRounding = 1e-6;  // of a law that goes through its points
  const int n = static_cast<int>(result.residuals.size()), degrees = n - parameters;
  const Huber huber{result.delta};
  double squares = 0, inside = 0;  // as residual_scale() has them
  for (const double r : result.residuals) {
    squares += std::pow(huber.slope(r), 2);
    inside += std::abs(r) <= huber.delta ? 1 : 0;
  }
  const double sd = std::sqrt(squares / degrees) * n / inside;
  const double limit = std::max(kRounding, sd * outlier_limit(n, degrees));
  const auto size = [&](int i) { return std::abs(result.residuals[static_cast<std::size_t>(i)]); };
  std::vector<int> rows;
  for (int i = 0; i < n; ++i)
    if (size(i) > limit) rows.push_back(i);
  std::ranges::stable_sort(rows, std::greater(), size);
  return rows;
}

InfluenceReport influence(const Law& law, const Table& table, const Runs& runs, const SurfaceOptions& options,
                          int threads) {
  InfluenceReport report;
  report.fit = fit_surface(law, runs, options);
  for (const Quantity& q : law.params) report.params.push_back(q.name);
  for (int i = 0; i < runs.size(); ++i) {
    Influence row;
    row.row = i;
    row.place = table.place(runs.row[static_cast<std::size_t>(i)], law.response);
    report.rows.push_back(std::move(row));
  }
  const Leaver leaver(law, runs, report.fit);
  for_each_index(threads, runs.clusters, [&](int cluster) { leaver.measure(cluster, report.rows); });
  report.limit = outlier_limit(runs.size(), runs.clusters - law.parameter_count() - 1);
  for (Influence& row : report.rows) row.outlier = std::abs(row.studentised) > report.limit;
  return report;
}

nlohmann::ordered_json to_json(const InfluenceReport& report, const Runs& runs) {
  Json json = {{"law", report.fit.law},          {"formula", report.fit.formula}, {"n", report.fit.n},
               {"limit", number(report.limit)},  {"outliers", Json::array()},     {"rows", Json::array()},
               {"warnings", report.fit.warnings}};
  for (const int i : report.outliers()) json["outliers"].push_back(runs.row[static_cast<std::size_t>(i)] + 1);
  for (const Influence& row : report.rows) {
    const auto i = static_cast<std::size_t>(row.row);
    Json change = Json::object();
    for (std::size_t k = 0; k < report.params.size(); ++k) change[report.params[k]] = number(row.change[k]);
    json["rows"].push_back({{"row", runs.row[i] + 1},
                            {"place", row.place},
                            {"observed", runs.loss[i]},
                            {"predicted", runs.loss[i] * std::exp(-row.residual)},
                            {"residual", number(row.residual)},
                            {"studentised", number(row.studentised)},
                            {"leverage", number(row.leverage)},
                            {"cook", number(row.cook)},
                            {"outlier", row.outlier},
                            {"change", change}});
  }
  return json;
}

std::string to_text(const InfluenceReport& report, int most_rows) {
  const FitResult& fit = report.fit;
  std::string text = fmt::format("{}: {}   ({} points)\n", fit.law, fit.formula, fit.n);
  const auto line = [&](const Influence& row) {
    std::string changes;
    for (std::size_t k = 0; k < report.params.size(); ++k)
      changes += fmt::format(" {:>+9.2g}%", 100 * row.change[k] / std::abs(fit.params[k].value));
    const std::string name = row.place.substr(row.place.rfind('/') + 1);  // without the folder
    return fmt::format("  {:<28} {:>+9.2f} {:>9.4f} {:>9.3g} {:>+8.1f}% {}{}\n", name, row.studentised,
                       row.leverage, row.cook, 100 * std::expm1(row.residual), changes,
                       row.outlier ? "  outlier" : "");
  };
  text += fmt::format("  {:<28} {:>9} {:>9} {:>9} {:>9}  change without it:", "row", "t", "leverage", "Cook",
                      "loss");
  for (const std::string& name : report.params) text += fmt::format(" {:>10}", name);
  text += "\n";
  std::vector<int> order(report.rows.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(),
                           [&](int i) { return report.rows[static_cast<std::size_t>(i)].cook; });
  for (std::size_t i = 0; i < order.size() && static_cast<int>(i) < most_rows; ++i)
    text += line(report.rows[static_cast<std::size_t>(order[i])]);
  const std::vector<int> outliers = report.outliers();
  text += fmt::format("{} outliers (|t| > {:.2f})\n", outliers.size(), report.limit);
  for (const int i : outliers) text += line(report.rows[static_cast<std::size_t>(i)]);
  return text;
}

}  // namespace loglog::fit
