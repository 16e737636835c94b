// loglog sweep design: which runs answer what a sweep file asks, and what they cost.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <memory>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/processors.hpp"
#include "cli/arguments.hpp"
#include "cli/fit.hpp"
#include "cli/progress_line.hpp"
#include "cli/sweep.hpp"
#include "cli/talk.hpp"
#include "design/sweep_design.hpp"
#include "sweep/training.hpp"

namespace loglog::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  Path config, data, output;
  std::string arm;
  FitInput input;
  std::string max_time;
  double max_flops = INFINITY;
  int simulate = 0;
  bool json = false;
};

// Of each size, measured once, as equal runs train side by side.
void time_sizes(const sweep::SweepSpec& spec, const Environment& environment,
                std::vector<design::LadderSize>& ladder) {
  const kernels::KernelTable& row = choose_row(nullptr, spec, environment);
  const int processors = static_cast<int>(usable_processors().size());
  for (design::LadderSize& size : ladder) {
    const auto found = std::ranges::find(spec.sizes, size.name, &sweep::SizeSpec::name);
    model::RunConfig config = spec.base;
    config.model.layers = found->layers, config.model.width = found->width, config.model.heads = found->heads;
    talk("timing size {}\n", size.name);
    size.seconds_per_token = 1 / (sweep::measure_rate(config, row, processors).side_by_side * processors);
  }
}

Json to_json(const sweep::Goal& goal, const design::Belief& belief,
             const std::vector<design::GridDesign>& grids,
             const std::vector<fit::SimulatedWidth>& simulated) {
  Json list = Json::array();
  for (std::size_t i = 0; i < grids.size(); ++i) {
    const design::GridDesign& g = grids[i];
    Json budgets = Json::array();
    for (const sweep::BudgetSpec& b : g.budgets) budgets.push_back({{"flops", b.flops}, {"sizes", b.sizes}});
    Json grid = {{"half_width", g.half_width}, {"runs", g.runs},       {"seeds", g.seeds},
                 {"flops", g.flops},           {"seconds", g.seconds}, {"budgets", budgets}};
    if (i < simulated.size())
      grid["simulated"] = {{"half_width", simulated[i].half_width}, {"error", simulated[i].error}};
    list.push_back(std::move(grid));
  }
  return {{"quantity", goal.quantity},
          {"half_width", goal.half_width},
          {"law", goal.law},
          {"belief", belief.source},
          {"grids", list}};
}

void print_grids(const sweep::Goal& goal, const design::Belief& belief,
                 const std::vector<design::GridDesign>& grids,
                 const std::vector<fit::SimulatedWidth>& simulated) {
  fmt::print("{} of {} to +-{:g}; law taken to be true: {}\n", goal.quantity, goal.law, goal.half_width,
             belief.source);
  fmt::print("{:>9} {:>10} {:>5} {:>8} {:>6} {:>5} {:>9} {:>9} {:>12}{}\n", "FLOPs", "time", "runs",
             "budgets", "sizes", "seeds", "from", "to", "expected +-",
             simulated.empty() ? "" : "    simulated");
  for (std::size_t i = 0; i < grids.size(); ++i) {
    const design::GridDesign& g = grids[i];
    fmt::print("{:>9.3g} {:>10} {:>5} {:>8} {:>6} {:>5} {:>9.3g} {:>9.3g} {:>12.3g}", g.flops,
               g.seconds > 0 ? duration_text(g.seconds) : "-", g.runs, g.budgets.size(),
               g.budgets[0].sizes.size(), g.seeds, g.budgets.front().flops, g.budgets.back().flops,
               g.half_width);
    if (i < simulated.size()) fmt::print("    {:.3g} +- {:.2g}", simulated[i].half_width, simulated[i].error);
    fmt::print("\n");
  }
}

// Of a run: fewer steps than these train nothing, and their number is rounded.
double least_tokens(const sweep::SweepSpec& spec) {
  constexpr model::Index kSteps = 200;
  const bool has_rule =
      std::ranges::any_of(spec.rules, [](const sweep::Rule& r) { return r.key == "batch"; });
  return static_cast<double>(kSteps * spec.base.model.context * (has_rule ? 1 : spec.base.train.batch));
}

int run_design(const Arguments& a, const Environment& environment) {
  constexpr std::size_t kShown = 8;
  sweep::SweepSpec spec = sweep::read_sweep(a.config, a.arm);
  if (!a.data.empty()) spec.base.data.path = a.data.native();
  if (!spec.goal)
    throw UsageError(fmt::format("{} has no [goal]: quantity = \"a\" and half_width = 0.03, for example",
                                 a.config.native()));
  if (!spec.isoflop)
    throw UsageError(
        fmt::format("{}: kind must be \"isoflop\": other grids are not designed", a.config.native()));
  refuse_overwriting(a.output, {a.config, a.input.path});
  sweep::DataReader data(spec.base);
  std::vector<design::LadderSize> ladder =
      design::ladder_of(spec, [&](const model::RunConfig& config) { return data(config).facts; });
  design::Limits limits{a.max_flops};
  limits.train_tokens = data(spec.base).facts.train_tokens;
  limits.least_tokens = least_tokens(spec);
  if (!a.max_time.empty()) {
    limits.seconds = parse_duration(a.max_time);
    time_sizes(spec, environment, ladder);
  }
  const design::Belief belief = a.input.path.empty()
                                    ? design::stated_belief(*spec.goal)
                                    : design::fitted_belief(*spec.goal, read_fit_table(a.input));
  std::vector<design::GridDesign> grids = design::propose_grids(*spec.goal, belief, ladder, limits);
  grids.resize(std::min(grids.size(), kShown));
  std::vector<fit::SimulatedWidth> simulated;
  if (a.simulate > 0)
    for (const design::GridDesign& grid : grids)
      simulated.push_back(fit::simulated_half_width(belief.assumed(), design::runs_of(grid, ladder, belief),
                                                    design::quantity_of(*spec.goal, belief), a.simulate, 1));
  if (a.json)
    fmt::print("{}\n", json_text(to_json(*spec.goal, belief, grids, simulated), 2));
  else
    print_grids(*spec.goal, belief, grids, simulated);
  if (!a.output.empty())
    write_atomically(real_file_system(), a.output,
                     design::grid_toml(grids.front(), std::filesystem::absolute(a.config).native(),
                                       spec.name + "-designed"));
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_sweep_design(CLI::App& sweep, const Environment& environment, Action& run) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* verb = sweep.add_subcommand(
      "design", "grids that make a sweep file's [goal] as sure as it wants, cheapest first");
  verb->add_option("config", a->config, "sweep file (TOML) with a [goal] and a ladder of sizes")->required();
  verb->add_option("--arm", a->arm, "the sweep with the keys of its [arm.NAME]");
  verb->add_option("--data", a->data, "token file, in place of data.path");
  verb->add_option("--input", a->input.path,
                   "runs (CSV or store) that the law is fitted to first; else it is stated");
  verb->add_option("--sweep", a->input.sweep, "of a store with several sweeps: the one to fit");
  verb->add_option("--max-flops", a->max_flops, "of all runs together")->check(number_between(0, 1e300));
  verb->add_option("--max-time", a->max_time, "on this machine, 6h, 90m, 30s: sizes are timed first");
  verb->add_option("--simulate", a->simulate, "also the interval of so many simulated sweeps")
      ->check(CLI::Range(0, 1'000'000));
  verb->add_option("-o,--output", a->output, "sweep file to make of the cheapest grid");
  verb->add_flag("--json", a->json, "for programs");
  verb->footer(
      "The interval is the sampling error alone: what is wrong with the law is in none.\n"
      "Example: loglog sweep design my.toml --max-flops 1e15 -o designed.toml");
  verb->callback(
      [=, &environment, &run] { run = [=, &environment] { return run_design(*a, environment); }; });
}

}  // namespace loglog::cli
