// Which runs make a number as sure as a sweep's goal wants it: IsoFLOP grids with their expected interval, cheapest first.
//
// A grid is so many budgets, each twice the one before; at each the size that is believed to be the best with as many below as above it;
// and so many seeds of each. Grids differ in their dearest budget, in how many budgets, sizes and seeds they have.
#pragma once
#include <limits>
#include <optional>
#include <vector>

#include "design/belief.hpp"

namespace loglog::design {

// A size of the file's ladder.
struct LadderSize {
  std::string name;
  double N = 0, flops_per_token = 0;
  double seconds_per_token = 0;  // on the clock with all processors at work; 0: not timed
};
// Ascending in N. The spec needs no budgets.
std::vector<LadderSize> ladder_of(const sweep::SweepSpec& spec, const sweep::FactsOf& facts_of);

struct Limits {
  double flops = std::numeric_limits<double>::infinity();
  double seconds = std::numeric_limits<double>::infinity();
  double train_tokens = std::numeric_limits<double>::infinity();  // no run sees more
  double least_tokens = 0;                                        // nor fewer
};

struct GridDesign {
  std::vector<sweep::BudgetSpec> budgets;  // ascending
  int seeds = 1;
  int runs = 0;
  double flops = 0, seconds = 0;
  double half_width = 0;  // expected, of the goal's quantity
};

// What is wanted of the law: UsageError where it has no such quantity, or a loss has no place.
fit::Quantity quantity_of(const sweep::Goal& goal, const Belief& belief);

// The runs of a grid as the law sees them.
std::vector<fit::PlannedRun> runs_of(const GridDesign& grid, const std::vector<LadderSize>& ladder,
                                     const Belief& belief);

// Grids within the limits that reach the goal, each shape (budgets, sizes, seeds) once, cheapest first. RefusedError where none does: with
// the best that is within them, and the cheapest that reaches it.
std::vector<GridDesign> propose_grids(const sweep::Goal& goal, const Belief& belief,
                                      const std::vector<LadderSize>& ladder, const Limits& limits);

// Of the grids with this dearest budget that are within the limits, the one of least interval; the goal's half-width does not matter. Nothing
// where there is none.
std::optional<GridDesign> best_grid_up_to(double dearest, const sweep::Goal& goal, const Belief& belief,
                                          const std::vector<LadderSize>& ladder, const Limits& limits);

// A sweep file that trains it: it extends `file`.
std::string grid_toml(const GridDesign& grid, const std::string& file, const std::string& name);

}  // namespace loglog::design
