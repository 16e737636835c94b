#include "design/sweep_design.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace loglog::design {
namespace {

struct Shape {
  int budgets, sizes, seeds;
};

std::vector<Shape> shapes() {
  std::vector<Shape> list;
  for (const int budgets : {4, 5, 6, 7})  // fewer span too little compute to test a law
    for (const int sizes : {5, 7})
      for (const int seeds : {1, 2, 3}) list.push_back({budgets, sizes, seeds});
  return list;
}

const LadderSize& named(const std::vector<LadderSize>& ladder, const std::string& name) {
  return *std::ranges::find(ladder, name, &LadderSize::name);
}

int best_at(const std::vector<LadderSize>& ladder, const Belief& belief, double flops) {
  const auto loss = [&](const LadderSize& s) { return belief.loss(s.N, flops / s.flops_per_token); };
  return static_cast<int>(std::ranges::min_element(ladder, {}, loss) - ladder.begin());
}

// Nothing where the ladder has too few sizes on a side of the best, or a run would see more text than there is.
std::optional<GridDesign> grid_at(double dearest, const Shape& shape, const std::vector<LadderSize>& ladder,
                                  const Belief& belief, const Limits& limits) {
  GridDesign grid;
  grid.seeds = shape.seeds;
  for (int k = shape.budgets - 1; k >= 0; --k) {
    sweep::BudgetSpec budget{dearest * std::pow(0.5, k), {}};
    const int centre = best_at(ladder, belief, budget.flops), side = shape.sizes / 2;
    if (centre < side || centre + side >= static_cast<int>(ladder.size())) return std::nullopt;
    for (int i = centre - side; i <= centre + side; ++i) {
      const LadderSize& size = ladder[static_cast<std::size_t>(i)];
      const double tokens = budget.flops / size.flops_per_token;
      if (tokens > limits.train_tokens || tokens < limits.least_tokens) return std::nullopt;
      budget.sizes.push_back(size.name);
      grid.flops += shape.seeds * budget.flops;
      grid.seconds += shape.seeds * tokens * size.seconds_per_token;
      grid.runs += shape.seeds;
    }
    grid.budgets.push_back(std::move(budget));
  }
  return grid;
}

bool is_within(const GridDesign& grid, const Limits& limits) {
  return grid.flops <= limits.flops && grid.seconds <= limits.seconds;
}

std::string in_words(const GridDesign& g) {
  const std::string time = g.seconds > 0 ? fmt::format(", {:.3g} hours", g.seconds / 3600) : "";
  return fmt::format("+-{:.3g} with {} runs, {:.3g} FLOPs{}", g.half_width, g.runs, g.flops, time);
}

[[noreturn]] void refuse(const sweep::Goal& goal, const std::optional<GridDesign>& best_within,
                         const std::optional<GridDesign>& cheapest_beyond) {
  std::string text = fmt::format("no grid of these sizes within the limits gives {} to +-{:g}", goal.quantity,
                                 goal.half_width);
  text += best_within ? fmt::format("; the best within them: {}", in_words(*best_within))
                      : "; not one fits within them";
  if (cheapest_beyond)
    text += fmt::format("; beyond them: {}", in_words(*cheapest_beyond));
  else
    text += "; nor does any beyond them: more sizes in the file, or a longer text, allow more";
  throw RefusedError(text);
}

}  // namespace

std::vector<LadderSize> ladder_of(const sweep::SweepSpec& spec, const sweep::FactsOf& facts_of) {
  sweep::SweepSpec all = spec;  // every size once
  all.isoflop = false;
  all.budgets.clear(), all.tokens = {1e6}, all.tokens_per_parameter.clear();
  all.seeds = {1}, all.vary.clear(), all.rules.clear(), all.variants.clear();
  std::vector<LadderSize> ladder;
  for (const sweep::Cell& cell : sweep::expand(all, facts_of).cells)
    ladder.push_back({cell.spec.size, cell.spec.n, cell.spec.c / cell.spec.d});
  std::ranges::sort(ladder, {}, &LadderSize::N);
  return ladder;
}

fit::Quantity quantity_of(const sweep::Goal& goal, const Belief& belief) {
  if (goal.quantity != "loss") return fit::quantity_named(*belief.law, goal.quantity);
  if (goal.at.size() != 2 || !goal.at.contains("N") || !goal.at.contains("D"))
    throw UsageError(
        fmt::format("{}: a goal for the loss says where: at = {{N = 1e8, D = 2e9}}", goal.place));
  return fit::log_loss_at(*belief.law, {goal.at.at("N"), goal.at.at("D")});
}

std::vector<fit::PlannedRun> runs_of(const GridDesign& grid, const std::vector<LadderSize>& ladder,
                                     const Belief& belief) {
  std::vector<fit::PlannedRun> runs;
  for (const sweep::BudgetSpec& budget : grid.budgets)
    for (const std::string& name : budget.sizes)
      for (int seed = 0; seed < grid.seeds; ++seed) {
        const LadderSize& size = named(ladder, name);
        runs.push_back({{size.N, budget.flops / size.flops_per_token}, belief.noise(size.N)});
      }
  return runs;
}

namespace {

// One for each shape.
std::vector<std::optional<GridDesign>> grids_up_to(double dearest, const fit::Quantity& quantity,
                                                   const Belief& belief,
                                                   const std::vector<LadderSize>& ladder,
                                                   const Limits& limits) {
  std::vector<std::optional<GridDesign>> grids;
  for (const Shape& shape : shapes()) {
    std::optional<GridDesign>& grid = grids.emplace_back(grid_at(dearest, shape, ladder, belief, limits));
    if (grid)
      grid->half_width = fit::expected_half_width(belief.assumed(), runs_of(*grid, ladder, belief), quantity);
  }
  return grids;
}

}  // namespace

std::vector<GridDesign> propose_grids(const sweep::Goal& goal, const Belief& belief,
                                      const std::vector<LadderSize>& ladder, const Limits& limits) {
  constexpr double kLeast = 1e6, kMost = 1e26, kStep = 1.4142135623730951;
  const fit::Quantity quantity = quantity_of(goal, belief);
  std::vector<std::optional<GridDesign>> cheapest(shapes().size());  // of each shape
  std::optional<GridDesign> best_within, cheapest_beyond;
  for (double dearest = kLeast; dearest < kMost; dearest *= kStep) {
    const auto grids = grids_up_to(dearest, quantity, belief, ladder, limits);
    for (std::size_t i = 0; i < grids.size(); ++i) {
      const std::optional<GridDesign>& grid = grids[i];
      if (!grid) continue;
      const bool reaches = grid->half_width <= goal.half_width, within = is_within(*grid, limits);
      if (within && (!best_within || grid->half_width < best_within->half_width)) best_within = grid;
      if (!reaches) continue;
      std::optional<GridDesign>& least = within ? cheapest[i] : cheapest_beyond;
      if (!least || grid->flops < least->flops) least = grid;
    }
  }
  std::vector<GridDesign> proposed;
  for (const std::optional<GridDesign>& grid : cheapest)
    if (grid) proposed.push_back(*grid);
  if (proposed.empty()) refuse(goal, best_within, cheapest_beyond);
  std::ranges::stable_sort(proposed, {}, &GridDesign::flops);
  return proposed;
}

std::optional<GridDesign> best_grid_up_to(double dearest, const sweep::Goal& goal, const Belief& belief,
                                          const std::vector<LadderSize>& ladder, const Limits& limits) {
  std::optional<GridDesign> best;
  for (const auto& grid : grids_up_to(dearest, quantity_of(goal, belief), belief, ladder, limits))
    if (grid && is_within(*grid, limits) && (!best || grid->half_width < best->half_width)) best = grid;
  return best;
}

std::string grid_toml(const GridDesign& grid, const std::string& file, const std::string& name) {
  std::string text = fmt::format(
      "# Proposed by loglog sweep design.\nextends = \"{}\"\nname = \"{}\"\nbudgets = [\n", file, name);
  for (const sweep::BudgetSpec& b : grid.budgets)
    text += fmt::format("  {{flops = {:.6g}, sizes = [\"{}\"]}},\n", b.flops, fmt::join(b.sizes, "\", \""));
  std::vector<int> seeds;
  for (int seed = 1; seed <= grid.seeds; ++seed) seeds.push_back(seed);
  return text + fmt::format("]\nseeds = [{}]\n", fmt::join(seeds, ", "));
}

}  // namespace loglog::design
