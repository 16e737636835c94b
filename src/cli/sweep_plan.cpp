// loglog sweep plan
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/processors.hpp"
#include "cli/arguments.hpp"
#include "cli/progress_line.hpp"
#include "cli/sweep.hpp"
#include "cli/talk.hpp"
#include "kernels/table.hpp"
#include "train/choose_table.hpp"

namespace loglog::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  Path config;
  std::string arm;
  Path store;
  Path data;
  double max_flops = 0;
  bool json = false;
};

struct SizeTotal {
  std::size_t runs = 0;
  double parameters = 0;
  double flops = 0;
  double seconds = 0;
  int threads = 0;
};

std::vector<std::pair<std::string, SizeTotal>> totals_by_size(const sweep::SweepSpec& spec,
                                                              const sweep::Plan& plan) {
  std::vector<std::pair<std::string, SizeTotal>> totals;
  for (const sweep::SizeSpec& size : spec.sizes) {
    SizeTotal total;
    for (const sweep::Cell& cell : plan.cells) {
      if (cell.spec.size != size.name) continue;
      ++total.runs;
      total.parameters = cell.spec.n;
      total.flops += cell.spec.c;
      total.seconds += cell.spec.seconds;
      total.threads = cell.spec.threads;
    }
    totals.emplace_back(size.name, total);
  }
  return totals;
}

Json plan_json(const sweep::SweepSpec& spec, const sweep::Plan& plan) {
  Json out = {{"name", spec.name},
              {"runs", plan.cells.size()},
              {"finished", plan.finished},
              {"flops", plan.flops},
              {"seconds", plan.seconds},
              {"load_average", plan.load},
              {"memory_bytes", plan.memory_bytes},
              {"disk_bytes", plan.disk_bytes},
              {"left_out", plan.left_out},
              {"warnings", plan.warnings}};
  out["cells"] = Json::array();
  for (const sweep::Cell& cell : plan.cells) {
    const sweep::RunSpec& run = cell.spec;
    out["cells"].push_back({{"run", run.identity},
                            {"name", run.name},
                            {"size", run.size},
                            {"C", run.c},
                            {"N", run.n},
                            {"D", run.d},
                            {"seed", run.seed},
                            {"batch", cell.config.train.batch},
                            {"steps", cell.config.train.steps},
                            {"lr", cell.config.train.lr},
                            {"epochs", cell.epochs},
                            {"seconds", run.seconds},
                            {"threads", run.threads},
                            {"memory_bytes", run.memory_bytes}});
  }
  return out;
}

int run_plan(const Options& options, const Environment& environment) {
  sweep::SweepSpec spec = sweep::read_sweep(options.config, options.arm);
  if (!options.data.empty()) spec.base.data.path = options.data.native();
  std::optional<sweep::Store> store;
  if (!options.store.empty() && path_exists(options.store))
    store.emplace(options.store, sweep::Store::Mode::write);
  sweep::PlanOptions plan_options{choose_row(store ? &*store : nullptr, spec, environment),
                                  static_cast<int>(usable_processors().size())};
  plan_options.store = store ? &*store : nullptr;
  plan_options.on_calibration = [](const std::string& size) { talk("timing size {}\n", size); };
  const sweep::Plan plan = sweep::make_plan(spec, plan_options);
  for (const auto& [key, rate] : plan.calibrations)
    if (store) store->save_calibration(key, rate);
  if (options.json)
    fmt::print("{}\n", json_text(plan_json(spec, plan), 2));
  else
    fmt::print("{}", plan_text(spec, plan));
  sweep::require_affordable(plan, options.max_flops, sweep::free_memory_bytes(),
                            sweep::free_disk_bytes(options.store));
  return 0;
}

}  // namespace

const kernels::KernelTable& choose_row(const sweep::Store* store, const sweep::SweepSpec& spec,
                                       const Environment& environment) {
  const std::string begun = store == nullptr ? "" : store->note(row_note(spec.name)).value_or("");
  const kernels::KernelTable& row = train::choose_table(environment.isa, spec.base.train.isa, begun);
  require_row(spec.name, begun, row.float32);
  return row;
}

void require_row(const std::string& sweep, const std::string& begun, std::string_view row) {
  if (begun.empty() || begun == row) return;
  throw UsageError(
      fmt::format("the runs of '{}' are trained with --isa {} in this store, not {}: rows differ in the last "
                  "bits, go on with {}, or begin another store",
                  sweep, begun, row, begun));
}

std::string row_note(const std::string& sweep) {
  return "isa " + sweep;
}

std::string plan_text(const sweep::SweepSpec& spec, const sweep::Plan& plan) {
  std::string out = fmt::format("{:<10} {:>10} {:>5} {:>10} {:>8} {:>14}\n", "size", "N", "runs", "FLOPs",
                                "threads", "run time");
  for (const auto& [name, total] : totals_by_size(spec, plan)) {
    if (total.runs == 0) continue;
    out += fmt::format("{:<10} {:>10.0f} {:>5} {:>10.3g} {:>8} {:>14}\n", name, total.parameters, total.runs,
                       total.flops, total.threads, duration_text(total.seconds));
  }
  const std::size_t left = plan.cells.size() - plan.finished;
  out += fmt::format(
      "{} runs, {} of them finished; the other {}: {:.3g} FLOPs, about {}, memory {:.0f} MiB, "
      "disk {:.1f} MB\n",
      plan.cells.size(), plan.finished, left, plan.flops, duration_text(plan.seconds),
      plan.memory_bytes / (1 << 20), plan.disk_bytes / 1e6);
  if (!plan.left_out.empty())
    out += fmt::format("left out by the rule keep, with {:.3g} tokens to train on: {}\n", plan.train_tokens,
                       fmt::join(plan.left_out, ", "));
  constexpr double kBusy = 0.75;  // of the processors: what the plan itself does is not counted yet
  if (const auto processors = usable_processors().size(); plan.load > kBusy * static_cast<double>(processors))
    out += fmt::format("warning: the load average is {:.2f} on {} processors: times are what others leave\n",
                       plan.load, processors);
  for (const std::string& warning : plan.warnings) out += fmt::format("warning: {}\n", warning);
  return out;
}

void add_sweep_plan(CLI::App& sweep, const Environment& environment, Action& run) {
  CLI::App* verb = sweep.add_subcommand("plan", "runs, FLOPs, time, memory and disk; trains nothing");
  const auto options = std::make_shared<Options>();
  verb->add_option("config", options->config, "sweep file (TOML)")->required();
  verb->add_option("--arm", options->arm, "the sweep with the keys of its [arm.NAME]");
  verb->add_option("--store", options->store,
                   "store, where there is one: knows what is finished, keeps the timings");
  verb->add_option("--data", options->data, "token file, in place of data.path");
  verb->add_option("--max-flops", options->max_flops, "refuse (exit 6) above so many FLOPs")
      ->check(number_between(0, 1e300));
  verb->add_flag("--json", options->json, "with every run, for programs");
  verb->footer("Example: loglog sweep plan configs/sweeps/demo.toml --max-flops 1e15");
  verb->callback(
      [=, &environment, &run] { run = [=, &environment] { return run_plan(*options, environment); }; });
}

}  // namespace loglog::cli
