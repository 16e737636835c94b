// loglog fit: scaling laws from a table of runs.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/items.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "fit/accuracy.hpp"
#include "fit/procedure.hpp"
#include "fit/selftest.hpp"
#include "sweep/table.hpp"

namespace loglog::cli {
namespace {

struct FitArguments {
  std::string law;
  std::string input;
  std::string output;
  std::string sweep;
  std::vector<std::string> maps;
  std::vector<std::string> derivations;
  std::vector<std::string> conditions;
  std::vector<std::string> places, starts;
  fit::ProcedureOptions options;
  bool json = false;
  std::string selftest, data;
};

// "NAME=REST" of --map and --where.
std::pair<std::string, std::string> split_pair(const std::string& text, const std::string& option) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw UsageError(fmt::format("{} '{}': write NAME=VALUE", option, text));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// "N=1e9,D=2e10"
std::map<std::string, double> place_of(const std::string& text) {
  std::map<std::string, double> place;
  for (const std::string_view item : items_of(text)) {
    const auto [name, value] = split_pair(std::string(item), "--predict");
    double number = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size())
      throw UsageError(fmt::format("--predict '{}': '{}' is no number", text, value));
    if (!place.emplace(name, number).second)
      throw UsageError(fmt::format("--predict '{}': {} is there twice", text, name));
  }
  return place;
}

fit::Table read_runs(const std::string& path, const std::string& sweep) {
  if (!sweep::is_store(path)) return fit::Table::read_csv(path);
  const sweep::Store store(path, sweep::Store::Mode::read);
  std::int64_t finished = 0, all = 0;
  for (const auto& [state, count] : store.counts(sweep)) {
    all += count;
    if (state != sweep::State::queued && state != sweep::State::running &&
        state != sweep::State::checkpointed)
      finished += count;
  }
  if (all > 0 && finished == 0) {
    throw RefusedError(fmt::format(
        "{} has no finished run among its {}; `loglog sweep status {}` says how far it is", path, all, path));
  }
  if (finished < all) talk("loglog: warning: {} of {} runs have no result yet\n", all - finished, all);
  fit::Table table = fit::Table::parse_csv(sweep::export_csv(store, sweep::Timing::no), path);
  table.name_rows("name");
  std::vector<int> members;  // without runs that no sweep file has any longer
  for (int row = 0; row < table.rows(); ++row)
    if (!table.texts("sweep")[static_cast<std::size_t>(row)].empty()) members.push_back(row);
  return table.select(members);
}

// Tuning runs and the runs of the law may lie in one store; a fit of both would be a fit of neither.
void require_one_sweep(const fit::Table& table, const std::string& input) {
  if (!table.has("sweep")) return;
  const std::vector<std::string>& cells = table.texts("sweep");
  const std::set<std::string> names(cells.begin(), cells.end());
  if (names.size() <= 1) return;
  throw UsageError(fmt::format("{} holds the runs of {}: choose with --sweep {}", input,
                               fmt::join(names, ", "), *names.begin()));
}

fit::Table read_table(const FitArguments& arguments) {
  fit::Table table = read_runs(arguments.input, arguments.sweep);
  std::vector<std::string> conditions = arguments.conditions;
  if (!arguments.sweep.empty()) conditions.push_back("sweep=" + arguments.sweep);
  for (const std::string& condition : conditions) {
    const auto [name, value] = split_pair(condition, "--where");
    const std::vector<std::string>& cells = table.texts(name);
    std::vector<int> rows;
    for (int row = 0; row < table.rows(); ++row) {
      if (cells[static_cast<std::size_t>(row)] == value) rows.push_back(row);
    }
    if (rows.empty()) throw UsageError(fmt::format("no row of {} has {}", arguments.input, condition));
    table = table.select(rows);
  }
  require_one_sweep(table, arguments.input);
  for (const std::string& map : arguments.maps) {
    const auto [name, column] = split_pair(map, "--map");
    table.rename(column, name);
  }
  for (const std::string& definition : arguments.derivations) table.derive(definition);
  return table;
}

int run_list() {
  for (const fit::Procedure& procedure : fit::procedures()) {
    fmt::print("{:<18} {:<48} columns {}, {}   {}\n", procedure.name, procedure.formula,
               fmt::join(procedure.variables, ", "), procedure.response, procedure.source);
  }
  return 0;
}

int run_accuracy(const std::string& folder) {
  if (folder.empty())
    throw UsageError("--selftest accuracy needs --data FOLDER, which has the published sweeps");
  if (!path_exists(folder)) throw InputError(fmt::format("cannot open '{}': no such folder", folder));
  bool passed = true;
  fmt::print("{:<4} {:<64} {:<26} {:<14}\n", "", "", "required", "got");
  for (const fit::AccuracyCheck& check : fit::accuracy_checks()) {
    fmt::print("{:<4} {}\n", check.id, check.title);
    for (const fit::Requirement& r : fit::run_check(check, folder)) {
      fmt::print("     {:<63} {:<26} {:<14.8g} {}\n", r.what, r.required, r.got, r.passed ? "pass" : "FAIL");
      passed = passed && r.passed;
    }
  }
  return static_cast<int>(passed ? Exit::done : Exit::failed);
}

int run_selftest(const std::string& kind, const std::string& folder) {
  if (kind == "accuracy") return run_accuracy(folder);
  bool passed = true;
  for (const fit::SelfCheck& check : fit::selftest()) {
    fmt::print("{:<8} {:<32} {}\n", check.passed ? "ok" : "FAILED", check.name, check.detail);
    passed = passed && check.passed;
  }
  return static_cast<int>(passed ? Exit::done : Exit::failed);
}

// An option without effect would pass for one that was obeyed.
void refuse_unread_options(const CLI::App& verb, const fit::Procedure& procedure) {
  for (const std::string_view option : {"delta", "interval", "predict", "interpolation", "sides", "sigma"}) {
    if (verb.count(fmt::format("--{}", option)) == 0) continue;
    if (std::ranges::find(procedure.options, option) != procedure.options.end()) continue;
    std::vector<std::string_view> readers;
    for (const fit::Procedure& other : fit::procedures()) {
      if (std::ranges::find(other.options, option) != other.options.end()) readers.push_back(other.name);
    }
    throw UsageError(fmt::format("--law {} has no use for --{}; it is for {}", procedure.name, option,
                                 fmt::join(readers, ", ")));
  }
}

int run_fit(const FitArguments& arguments, const CLI::App& verb) {
  if (verb.count("--selftest") > 0) return run_selftest(arguments.selftest, arguments.data);
  if (arguments.law.empty() || arguments.input.empty()) {
    throw UsageError("fit needs --law NAME and --input runs.csv; `loglog fit list` shows the laws");
  }
  refuse_overwriting(arguments.output, {arguments.input});
  const bool is_formula = arguments.law.find('=') != std::string::npos;
  if (!is_formula && !arguments.starts.empty())
    throw UsageError("--start is for the parameters of a formula: --law 'L = ...'");
  const std::optional<fit::Procedure> named =
      is_formula ? std::nullopt : std::optional(fit::find_procedure(arguments.law));
  const fit::Table table = read_table(arguments);
  const fit::Procedure procedure =
      named ? *named
            : fit::surface_procedure(std::make_shared<const fit::Law>(
                  fit::law_of_formula(arguments.law, table.names(), arguments.starts)));
  refuse_unread_options(verb, procedure);
  fit::ProcedureOptions options = arguments.options;
  for (const std::string& place : arguments.places) options.places.push_back(place_of(place));
  const fit::FitResult result = procedure.run(table, options);
  for (const std::string& notice : result.notices) talk("note: {}\n", notice);
  for (const fit::Exclusion& row : result.excluded) talk("left out: {}: {}\n", row.place, row.reason);
  for (const std::string& warning : result.warnings) talk("warning: {}\n", warning);
  const std::string json = json_text(fit::to_json(result), 2) + "\n";
  if (!arguments.output.empty()) write_atomically(real_file_system(), arguments.output, json);
  fmt::print("{}", arguments.json ? json : fit::to_text(result));
  return 0;
}

void add_interval_options(CLI::App& verb, FitArguments& a) {
  verb.add_option("--bootstrap", a.options.bootstrap, "resamples for intervals, 0 for none")
      ->capture_default_str()
      ->check(whole_between(0, 1'000'000));
  verb.add_option("--interval", a.options.interval,
                  "laws: bootstrap, noise (losses made anew), jackknife (each run left out) or profile "
                  "(likelihood); auto: "
                  "jackknife where rows share a run, else bootstrap")
      ->capture_default_str();
  verb.add_option("--predict", a.places,
                  "laws: the loss at N=1e9,D=2e10, of the law and of a run; may be given again")
      ->allow_extra_args(false);
  verb.add_option("--seed", a.options.seed, "of the resampling; the same seed gives the same bytes")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
}

}  // namespace

void add_fit(CLI::App& app, const Environment&, Action& run) {
  auto arguments = std::make_shared<FitArguments>();
  fit::ProcedureOptions& options = arguments->options;
  CLI::App* verb =
      app.add_subcommand("fit", "Fit scaling laws to a table of runs, with intervals and warnings");
  verb->add_option("--law", arguments->law,
                   "law or procedure, `loglog fit list` shows them; or a formula: 'L = E + A / N^alpha'");
  verb->add_option("--start", arguments->starts, "of a formula: where a parameter is looked for, R=1:100")
      ->allow_extra_args(false);
  verb->add_option("--input", arguments->input, "CSV with a header line, or the store of a sweep");
  verb->add_option("--sweep", arguments->sweep, "of a store with several sweeps: the one to fit");
  verb->add_option("--map", arguments->maps, "use a column under another name: N='Model Size'")
      ->allow_extra_args(false);
  verb->add_option("--derive", arguments->derivations, "make a column: 'D=C/(6*N)'")->allow_extra_args(false);
  verb->add_option("--where", arguments->conditions, "keep rows whose cell is VALUE: COLUMN=VALUE")
      ->allow_extra_args(false);
  verb->add_option("--drop-highest", options.drop_highest, "leave out the K rows of largest loss")
      ->check(whole_between(0, 1'000'000));
  verb->add_option(
      "--delta", options.delta,
      "Huber delta on ln loss (default 1.345 x residual sd; 1e-3 replays papers; inf: least squares)");
  add_interval_options(*verb, *arguments);
  verb->add_option("--threads", options.threads, "changes the time, not the result")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  verb->add_option("--interpolation", options.interpolation, "isoflop: parabola or akima")
      ->capture_default_str();
  verb->add_option("--sides", options.sides, "isoflop: sizes needed on each side of a minimum")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  verb->add_option("--sigma", options.sigma, "isoflop: relative seed noise, a number or a formula in N");
  verb->add_flag("--json", arguments->json, "print JSON instead of a table");
  verb->add_option("-o,--output", arguments->output, "also write the JSON to this file");
  verb->add_option("--selftest", arguments->selftest,
                   "fit noise-free points of every law; accuracy: the published sweeps of --data. Exit 1 "
                   "when one does not come "
                   "back")
      ->expected(0, 1)
      ->type_name("[laws|accuracy]")
      ->check(CLI::IsMember({"", "laws", "accuracy"}));
  verb->add_option("--data", arguments->data, "folder of published sweeps, for --selftest=accuracy")
      ->check(not_empty());
  verb->footer(
      "Examples:\n"
      "  loglog fit --law chinchilla --input runs.csv --bootstrap 1000 -o fit.json\n"
      "  loglog fit --law chinchilla --input points.csv --map N='Model Size' --map C='Training FLOP' \\\n"
      "             --derive 'D=C/(6*N)' --drop-highest 5 --delta 1e-3\n"
      "  loglog fit --law 'L = E + A / N^alpha + B / (D + R)^beta' --start R=1e5:1e9 --input runs.csv\n"
      "  loglog fit --law isoflop --input runs.csv --sigma '0.007*(N/12000)^-0.4' --json");
  verb->add_subcommand("list", "Show the laws and the columns they need")->callback([&run] {
    run = run_list;
  });
  verb->callback([arguments, verb, &run] {
    if (verb->get_subcommands().empty()) run = [arguments, verb] { return run_fit(*arguments, *verb); };
  });
}

}  // namespace loglog::cli
