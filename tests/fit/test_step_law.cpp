// The Step Law: planted optima come back, and cells without one are left out.
#include "fit/allocation/step_law.hpp"

#include <cmath>

#include "base/error.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

constexpr double kLrN = -0.7, kLrD = 0.3, kBatchD = 0.57;

// Grids of 5 x 5 around where the optimum of each cell is planted, `off` from their middle in both logarithms.
Runs grids(double noise, double off = 0) {
  Runs runs = empty_runs({"N", "D", "lr", "batch"});
  const Rng rng(11, 0);
  for (const double N : {1e6, 4e6, 1.6e7})
    for (const double ratio : {5.0, 20.0, 80.0}) {
      const double D = N * ratio, lr = 2 * std::pow(N, kLrN) * std::pow(D, kLrD),
                   batch = 0.5 * std::pow(D, kBatchD);
      for (int i = -2; i <= 2; ++i)
        for (int j = -2; j <= 2; ++j) {
          const double u = 0.5 * i + off, v = 0.5 * j + off;
          const double z = noise * rng.normal(static_cast<std::uint64_t>(runs.size()));
          const double loss =
              (1 + 300 / std::sqrt(N)) * std::exp(0.004 * u * u + 0.001 * u * v + 0.002 * v * v + z);
          add_run(runs, {N, D, lr * std::exp(u), batch * std::exp(v)}, loss);
        }
    }
  return runs;
}

double value_of(const FitResult& r, const std::string& name) {
  for (const Interval& item : r.params)
    if (item.name == name) return item.value;
  return NAN;
}

}  // namespace

TEST_CASE("planted exponents come back exactly without noise") {
  const FitResult r = fit_step_law(grids(0), {0.02, 0, 1});
  CHECK(value_of(r, "batch_D") == Approx(kBatchD).epsilon(1e-8));
  CHECK(value_of(r, "batch_k") == Approx(0.5).epsilon(1e-6));
  CHECK(value_of(r, "lr_N") == Approx(kLrN).epsilon(1e-8));
  CHECK(value_of(r, "lr_D") == Approx(kLrD).epsilon(1e-8));
  CHECK(value_of(r, "lr_k") == Approx(2).epsilon(1e-6));
  CHECK(std::isnan(r.params[0].low));
}

TEST_CASE("with noise the truth is inside, and a seed is a seed") {
  const FitResult r = fit_step_law(grids(3e-4), {0.02, 300, 1});
  const double truth[] = {0.5, kBatchD, 2, kLrN, kLrD};
  for (std::size_t i = 0; i < r.params.size(); ++i) {
    INFO(r.params[i].name);
    CHECK(r.params[i].low < truth[i]);
    CHECK(truth[i] < r.params[i].high);
  }
  CHECK(to_json(fit_step_law(grids(3e-4), {0.02, 300, 1})).dump() == to_json(r).dump());
  CHECK(to_json(fit_step_law(grids(3e-4), {0.02, 300, 2})).dump() != to_json(r).dump());
}

TEST_CASE("optima outside of their runs are left out and named") {
  Runs runs = grids(0);
  const Runs outside = grids(0, 3);
  for (int i = 0; i < 25; ++i)  // the first cell
    for (std::size_t v = 2; v < 4; ++v)
      runs.columns[v][static_cast<std::size_t>(i)] = outside.columns[v][static_cast<std::size_t>(i)],
      runs.loss[static_cast<std::size_t>(i)] = outside.loss[static_cast<std::size_t>(i)];
  const FitResult r = fit_step_law(runs, {0.5, 0, 1});
  REQUIRE(r.excluded.size() == 1);
  CHECK_THAT(r.excluded[0].place, Contains("N = 1e+06, D = 5e+06"));
  CHECK_THAT(r.excluded[0].reason, Contains("outside of its runs"));
  CHECK(value_of(r, "batch_D") == Approx(kBatchD).epsilon(1e-6));
  CHECK_THROWS_AS(fit_step_law(grids(0, 3), {0.5, 0, 1}), InputError);
  CHECK_THROWS_WITH(fit_step_law(grids(0), {1e-5, 0, 1}), Contains("0 of 9 cells"));
  CHECK_THROWS_AS(fit_step_law(grids(0), {0, 0, 1}), UsageError);
}
