#include "fit/envelope.hpp"

#include <cmath>

#include "base/error.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;

namespace {

Runs grid(int budgets) {
  const Truth truth;
  const double a = truth.beta / (truth.alpha + truth.beta);
  const double G = std::pow(truth.alpha * truth.A / (truth.beta * truth.B), 1 / (truth.alpha + truth.beta));
  Runs runs = empty_runs({"N", "D", "C"});
  for (int b = 0; b < budgets; ++b) {
    const double C = 1e12 * std::pow(4.0, b);
    const double best = G * std::pow(C / 6, a);
    for (int s = -20; s <= 20; ++s) {
      const double N = best * std::pow(1.1, s);
      add_run(runs, {N, C / (6 * N), C}, truth.loss(N, C / (6 * N)));
    }
  }
  return runs;
}

}  // namespace

TEST_CASE("the envelope of a noise-free sweep follows the optimum") {
  const Truth truth;
  const FitResult r = fit_envelope(grid(7), {true});
  REQUIRE(r.optimum[0].value == Approx(truth.beta / (truth.alpha + truth.beta)).margin(1e-6));
  REQUIRE(r.optimum[1].value == Approx(truth.alpha / (truth.alpha + truth.beta)).margin(1e-6));
  for (const Budget& b : r.budgets) REQUIRE(b.used);
}

TEST_CASE("a best run at the edge and a budget that a cheaper one beats are dropped and said") {
  Runs runs = grid(7);
  for (int s = 0; s < 3; ++s) add_run(runs, {1e9 * (s + 1), 1e3, 1e20}, 1.1 + 0.01 * s);
  add_run(runs, {1e5, 1e5, 1e21}, 9.0);
  const FitResult r = fit_envelope(runs, {false});
  REQUIRE(!r.budgets[7].used);
  REQUIRE(!r.budgets[8].used);
  REQUIRE_THROWS_AS(fit_envelope(grid(3), {false}), InputError);
}
