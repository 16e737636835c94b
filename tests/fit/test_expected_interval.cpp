// Intervals foretold by the slope of a law beside those of simulated sweeps.
#include "fit/allocation/expected_interval.hpp"

#include "fit/allocation/fitted_law.hpp"
#include "support/catch.hpp"
#include "synthetic.hpp"

using namespace loglog;
using namespace loglog::fit;
using loglog::testing::Truth;

namespace {

AssumedLaw assumed() {
  const Truth t;
  const auto law = law_named("chinchilla");
  return {*law, theta_of(*law, {{"E", t.E}, {"A", t.A}, {"alpha", t.alpha}, {"B", t.B}, {"beta", t.beta}})};
}

// The places of a sweep of 8 sizes and 5 ratios; noise that grows with size where it is asked for.
std::vector<PlannedRun> planned(double noise, double power = 0) {
  const Runs runs = testing::lab_sweep(0, 1);
  std::vector<PlannedRun> list;
  for (std::size_t i = 0; i < runs.loss.size(); ++i) {
    const double N = runs.columns[0][i], D = runs.columns[1][i];
    list.push_back({{N, D}, noise * std::pow(N / 1e5, power)});
  }
  return list;
}

}  // namespace

TEST_CASE("the expected interval is that of simulated sweeps, within their Monte Carlo error") {
  const AssumedLaw law = assumed();
  const Quantity loss = log_loss_at(law.law, {1e8, 2e9});
  const Quantity* const quantities[] = {&quantity_named(law.law, "a"), &quantity_named(law.law, "alpha"),
                                        &loss};
  for (const double power : {0.0, 0.15}) {
    for (const Quantity* quantity : quantities) {
      CAPTURE(power, quantity->name);
      const double expected = expected_half_width(law, planned(0.003, power), *quantity);
      const SimulatedWidth simulated = simulated_half_width(law, planned(0.003, power), *quantity, 800, 5);
      CHECK(simulated.error < 0.03 * simulated.half_width);
      CHECK(expected == Approx(simulated.half_width).margin(3 * simulated.error));
    }
  }
}

TEST_CASE("four times the runs halve the interval, ten times the noise widens it tenfold") {
  const AssumedLaw law = assumed();
  const Quantity& a = quantity_named(law.law, "a");
  const double one = expected_half_width(law, planned(0.003), a);
  CHECK(expected_half_width(law, planned(0.03), a) == Approx(10 * one).epsilon(1e-9));
  std::vector<PlannedRun> four;
  for (int k = 0; k < 4; ++k)
    for (const PlannedRun& run : planned(0.003)) four.push_back(run);
  CHECK(expected_half_width(law, four, a) == Approx(one / 2).epsilon(0.05));  // and Student's t
}

TEST_CASE("runs that do not determine a law have no expected interval") {
  const AssumedLaw law = assumed();
  const Quantity& a = quantity_named(law.law, "a");
  std::vector<PlannedRun> few = planned(0.003);
  few.resize(6);
  CHECK(std::isinf(expected_half_width(law, few, a)));
  std::vector<PlannedRun> one_place(20, PlannedRun{{1e5, 1e6}, 0.003});
  CHECK(!(expected_half_width(law, one_place, a) < 10));
  CHECK_THROWS_WITH(quantity_named(law.law, "c"),
                    Catch::Matchers::Contains("it has E, A, alpha, B, beta, a, b"));
}
