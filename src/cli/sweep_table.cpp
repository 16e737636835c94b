// loglog sweep status, sweep export
#include <fmt/format.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/sweep.hpp"
#include "sweep/table.hpp"

namespace loglog::cli {
namespace {

using sweep::Store;

struct Options {
  Path store;
  Path output;
  std::string format = "csv";
  bool no_timing = false;
  bool json = false;
};

int show_status(const Options& options) {
  const Store store(options.store, Store::Mode::read);
  const std::vector<sweep::RunRow> runs = store.runs();
  std::map<sweep::State, std::int64_t> counts;  // also of runs that no sweep has any longer
  for (const sweep::RunRow& run : runs) ++counts[run.state];
  if (options.json) {
    nlohmann::ordered_json out = {{"store", options.store.native()},
                                  {"counts", nlohmann::ordered_json::object()},
                                  {"runs", nlohmann::ordered_json::array()}};
    for (const auto& [state, count] : counts) out["counts"][std::string(sweep::state_name(state))] = count;
    for (const sweep::RunRow& run : runs) {
      nlohmann::ordered_json row = {
          {"run", run.spec.identity}, {"name", run.spec.name}, {"status", sweep::state_name(run.state)},
          {"C", run.spec.c},          {"N", run.spec.n},       {"D", run.spec.d},
          {"seed", run.spec.seed}};
      if (run.loss) row["loss"] = *run.loss;
      if (!run.error.empty()) row["error"] = run.error;
      out["runs"].push_back(row);
    }
    fmt::print("{}\n", json_text(out, 2));
    return 0;
  }
  fmt::print("{:<28} {:<12} {:>10} {:>10} {:>10} {:>8}\n", "run", "status", "N", "D", "C", "loss");
  for (const sweep::RunRow& run : runs) {
    const std::string loss = run.loss ? fmt::format("{:.4f}", *run.loss) : run.error.substr(0, 60);
    fmt::print("{:<28} {:<12} {:>10.0f} {:>10.3g} {:>10.3g} {:>8}\n", run.spec.name,
               sweep::state_name(run.state), run.spec.n, run.spec.d, run.spec.c, loss);
  }
  for (const auto& [state, count] : counts) fmt::print("{} {}\n", count, sweep::state_name(state));
  return 0;
}

int export_table(const Options& options) {
  refuse_overwriting(options.output, {options.store});
  const Store store(options.store, Store::Mode::read);
  const sweep::Timing timing = options.no_timing ? sweep::Timing::no : sweep::Timing::yes;
  const std::string text =
      options.format == "csv" ? sweep::export_csv(store, timing) : sweep::export_jsonl(store, timing);
  if (options.output.empty())
    fmt::print("{}", text);
  else
    write_atomically(real_file_system(), options.output, text);
  return 0;
}

}  // namespace

void add_sweep_table(CLI::App& sweep, const Environment&, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* status = sweep.add_subcommand("status", "what is done, running and waiting");
  status->add_option("store", options->store, "store")->required();
  status->add_flag("--json", options->json, "for programs");
  status->callback([=, &run] { run = [=] { return show_status(*options); }; });

  CLI::App* table = sweep.add_subcommand("export", "finished runs as a table");
  table->add_option("store", options->store, "store")->required();
  table->add_option("--format", options->format, "csv for fits, jsonl to keep and to merge")
      ->check(CLI::IsMember({"csv", "jsonl"}))
      ->capture_default_str();
  table->add_option("-o,--output", options->output, "file; standard output when absent");
  table->add_flag("--no-timing", options->no_timing,
                  "leave out what differs between machines: equal results, equal bytes");
  table->footer("Example: loglog sweep export demo.db --format csv -o runs.csv");
  table->callback([=, &run] { run = [=] { return export_table(*options); }; });
}

}  // namespace loglog::cli
