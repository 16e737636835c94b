// Grids that reach a goal, cheapest first, and what is said where none does.
#include "design/sweep_design.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::design;
using Catch::Matchers::Contains;

namespace {

sweep::Goal goal(double half_width) {
  sweep::Goal g;
  g.quantity = "a", g.half_width = half_width, g.noise = "0.003", g.place = "g.toml:1";
  return g;
}

// 24 sizes from 1e4 on, each 1.5 times the one before; a second for 1e10 FLOPs.
std::vector<LadderSize> ladder() {
  std::vector<LadderSize> sizes;
  for (int i = 0; i < 24; ++i) {
    const double N = 1e4 * std::pow(1.5, i);
    sizes.push_back({"s" + std::to_string(i), N, 6 * N, 6 * N / 1e10});
  }
  return sizes;
}

}  // namespace

TEST_CASE("every grid that is proposed reaches the goal, and the cheapest comes first") {
  const Belief belief = stated_belief(goal(0.05));
  const std::vector<GridDesign> grids = propose_grids(goal(0.05), belief, ladder(), {});
  REQUIRE(grids.size() > 3);
  CHECK(std::ranges::is_sorted(grids, {}, &GridDesign::flops));
  for (const GridDesign& g : grids) {
    CHECK(g.half_width <= 0.05);
    CHECK(static_cast<int>(runs_of(g, ladder(), belief).size()) == g.runs);
    double flops = 0;
    for (const sweep::BudgetSpec& b : g.budgets)
      flops += g.seeds * b.flops * static_cast<double>(b.sizes.size());
    CHECK(g.flops == Approx(flops));
    CHECK(g.seconds == Approx(flops / 1e10));
  }
}

TEST_CASE("the interval of a proposed grid is that of simulated sweeps") {
  const Belief belief = stated_belief(goal(0.05));
  const GridDesign grid = propose_grids(goal(0.05), belief, ladder(), {}).front();
  const fit::SimulatedWidth simulated = fit::simulated_half_width(
      belief.assumed(), runs_of(grid, ladder(), belief), quantity_of(goal(0.05), belief), 600, 2);
  CHECK(grid.half_width == Approx(simulated.half_width).margin(3 * simulated.error));
}

TEST_CASE("a finer goal costs more") {
  const Belief belief = stated_belief(goal(0.05));
  const double coarse = propose_grids(goal(0.06), belief, ladder(), {}).front().flops;
  CHECK(propose_grids(goal(0.03), belief, ladder(), {}).front().flops > 2 * coarse);
}

TEST_CASE("a goal that the limits do not allow is refused with what they do, and what it takes") {
  const Belief belief = stated_belief(goal(0.02));
  const double needed = propose_grids(goal(0.02), belief, ladder(), {}).front().flops;
  Limits limits;
  limits.flops = needed / 4;
  CHECK_THROWS_AS(propose_grids(goal(0.02), belief, ladder(), limits), RefusedError);
  CHECK_THROWS_WITH(propose_grids(goal(0.02), belief, ladder(), limits),
                    Contains("the best within them: +-") && Contains("beyond them: +-"));
  limits = {};
  limits.seconds = needed / 1e10 / 4;
  CHECK_THROWS_WITH(propose_grids(goal(0.02), belief, ladder(), limits), Contains("hours"));
  limits = {};
  limits.train_tokens = 10;
  CHECK_THROWS_WITH(propose_grids(goal(0.02), belief, ladder(), limits), Contains("not one fits"));
}

TEST_CASE("of the grids up to a budget the one of least interval is chosen, within the limits") {
  const sweep::Goal g = goal(1);
  const Belief belief = stated_belief(g);
  const std::optional<GridDesign> free = best_grid_up_to(1e13, g, belief, ladder(), {});
  REQUIRE(free);
  CHECK(free->seeds == 3);  // nothing speaks against more
  Limits limits;
  limits.seconds = free->seconds / 3;
  const std::optional<GridDesign> bound = best_grid_up_to(1e13, g, belief, ladder(), limits);
  REQUIRE(bound);
  CHECK(bound->seconds <= limits.seconds);
  CHECK(bound->half_width > free->half_width);
  CHECK(bound->budgets.back().flops == 1e13);
  limits.seconds = 1;
  CHECK_FALSE(best_grid_up_to(1e13, g, belief, ladder(), limits));
}

TEST_CASE("a text's length bounds every run") {
  Limits limits;
  limits.train_tokens = 3e8;
  const Belief belief = stated_belief(goal(0.1));
  for (const GridDesign& g : propose_grids(goal(0.1), belief, ladder(), limits))
    for (const fit::PlannedRun& run : runs_of(g, ladder(), belief)) CHECK(run.x[1] <= 3e8);
}

TEST_CASE("a goal names what its law has, and a loss its place") {
  sweep::Goal g = goal(0.05);
  g.quantity = "loss";
  CHECK_THROWS_WITH(quantity_of(g, stated_belief(g)), Contains("at = {N = 1e8, D = 2e9}"));
  g.at = {{"N", 1e8}, {"D", 2e9}};
  CHECK(quantity_of(g, stated_belief(g)).name == "loss");
  g.quantity = "gamma";
  CHECK_THROWS_WITH(quantity_of(g, stated_belief(g)), Contains("no quantity gamma"));
  g.law = "power-N";
  CHECK_THROWS_WITH(stated_belief(g), Contains("laws of N and D"));
  g.law = "kaplan";
  CHECK_THROWS_WITH(stated_belief(g), Contains("goal.prior"));
}
