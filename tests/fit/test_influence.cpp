#include "fit/choice/influence.hpp"

#include <cmath>

#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

constexpr double kLeastSquares = 10;

Table table_of(const Runs& runs) {
  Table table("runs.csv");
  for (std::size_t v = 0; v < runs.variables.size(); ++v) table.add(runs.variables[v], runs.columns[v]);
  table.add("loss", runs.loss);
  return table;
}

InfluenceReport influence_of(const std::string& law, const Runs& runs, std::optional<double> delta) {
  return influence(*find_law(law), table_of(runs), runs, {delta, {IntervalKind::automatic, 0}}, 1);
}

}  // namespace

TEST_CASE("on a straight line the numbers are those of the textbook") {
  // ln L = a - alpha ln N, so least squares is linear regression: Cook and Weisberg 1982.
  Runs runs = empty_runs({"N"});
  const double x[] = {0, 1, 2, 3, 5, 9}, y[] = {1.0, 0.93, 0.72, 0.71, 0.41, 0.2};
  const int n = 6, p = 2;
  for (int i = 0; i < n; ++i) add_run(runs, {std::exp(x[i])}, std::exp(y[i]));
  double mean_x = 0, mean_y = 0, sxx = 0, sxy = 0;
  for (int i = 0; i < n; ++i) mean_x += x[i] / n, mean_y += y[i] / n;
  for (int i = 0; i < n; ++i) sxx += std::pow(x[i] - mean_x, 2), sxy += (x[i] - mean_x) * (y[i] - mean_y);
  const double slope = sxy / sxx;
  double squares = 0;
  const auto residual = [&](int i) { return y[i] - mean_y - slope * (x[i] - mean_x); };
  for (int i = 0; i < n; ++i) squares += std::pow(residual(i), 2);
  const double s2 = squares / (n - p);

  const InfluenceReport report = influence_of("power-N", runs, kLeastSquares);
  for (int i = 0; i < n; ++i) {
    INFO("row " << i);
    const Influence& row = report.rows[static_cast<std::size_t>(i)];
    const double h = 1.0 / n + std::pow(x[i] - mean_x, 2) / sxx, r = residual(i);
    const double s2_without = (squares - r * r / (1 - h)) / (n - p - 1);
    CHECK(row.residual == Approx(r).margin(1e-9));
    CHECK(row.leverage == Approx(h));
    CHECK(row.studentised == Approx(r / std::sqrt(s2_without * (1 - h))));
    CHECK(row.cook == Approx(r * r * h / (p * s2 * std::pow(1 - h, 2))));
    const double slope_change = -(x[i] - mean_x) * r / (1 - h) / sxx;
    CHECK(row.change[1] == Approx(-slope_change));  // alpha is minus the slope
  }
}

TEST_CASE("with 5% diverged runs just these are outliers, and leaving one out gives the fit without it") {
  int found = 0, planted = 0, others = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Runs runs = lab_sweep(0.003, 40 + seed);
    const std::vector<std::size_t> diverged = {3 + seed, 30};
    for (const std::size_t i : diverged) runs.loss[i] *= 1.1 + 0.04 * static_cast<double>(seed);
    const InfluenceReport report = influence_of("chinchilla", runs, std::nullopt);
    planted += 2;
    for (std::size_t i = 0; i < report.rows.size(); ++i) {
      const bool is_planted = i == diverged[0] || i == diverged[1];
      (is_planted ? found : others) += report.rows[i].outlier ? 1 : 0;
      if (is_planted) CHECK(report.rows[i].residual > 0.05);
    }
  }
  CHECK(found == planted);
  CHECK(others <= 2);  // the limit lets one pass in 20 sweeps
}

TEST_CASE("a change is that of the exact fit without the run, and rows of a run go together") {
  Runs runs = lab_sweep(0.01, 7);
  for (std::size_t i = 0; i < runs.cluster.size(); ++i) runs.cluster[i] = static_cast<int>(i / 2);
  runs.clusters = runs.size() / 2;
  const InfluenceReport report = influence_of("chinchilla", runs, kLeastSquares);
  Runs less = empty_runs({"N", "D"});
  for (std::size_t i = 2; i < runs.loss.size(); ++i)
    add_run(less, {runs.columns[0][i], runs.columns[1][i]}, runs.loss[i]);
  const FitResult without =
      fit_surface(*find_law("chinchilla"), less, {kLeastSquares, {IntervalKind::automatic, 0}});
  for (std::size_t k = 0; k < report.params.size(); ++k) {
    INFO(report.params[k]);
    CHECK(report.rows[0].change[k] ==
          Approx(without.params[k].value - report.fit.params[k].value).epsilon(1e-4));
    CHECK(report.rows[1].change[k] == report.rows[0].change[k]);
  }
  double leverage = 0;
  for (const Influence& row : report.rows) leverage += row.leverage;
  CHECK(leverage == Approx(5));
}

TEST_CASE("the report names rows and is the same at any number of threads") {
  Runs runs = lab_sweep(0.003, 1);
  runs.loss[12] *= 1.3;
  const Law& law = *find_law("chinchilla");
  const Table table = table_of(runs);
  const SurfaceOptions options{std::nullopt, {IntervalKind::automatic, 0}};
  const auto json = to_json(influence(law, table, runs, options, 1), runs);
  CHECK(json["outliers"] == std::vector<int>{13});
  CHECK(json["rows"][12]["outlier"] == true);
  CHECK(json.dump() == to_json(influence(law, table, runs, options, 3), runs).dump());
  CHECK_THAT(to_text(influence(law, table, runs, options, 1)), Contains("1 outliers"));
}
