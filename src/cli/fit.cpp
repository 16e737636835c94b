// loglog fit: scaling laws from a table of runs.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/items.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/fit.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "fit/procedure.hpp"

namespace loglog::cli {
namespace {

struct FitArguments {
  std::string law;
  FitInput input;
  std::string output;
  std::vector<std::string> places, starts;
  fit::ProcedureOptions options;
  bool json = false, checklist = false;
  std::string selftest, data, only;
  int sweeps = 1000;
};

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

int run_list() {
  for (const fit::Procedure& procedure : fit::procedures()) {
    fmt::print("{:<18} {:<48} columns {}, {}   {}\n", procedure.name, procedure.formula,
               fmt::join(procedure.variables, ", "), procedure.response, procedure.source);
  }
  return 0;
}

// An option without effect would pass for one that was obeyed.
void refuse_unread_options(const CLI::App& verb, const fit::Procedure& procedure) {
  for (const std::string_view option : {"delta", "objective", "raw", "starts", "interval", "predict",
                                        "interpolation", "sides", "sigma", "within"}) {
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
  if (verb.count("--selftest") > 0) {
    fit::ProcedureOptions const& o = arguments.options;
    return run_fit_selftest(
        {arguments.selftest, arguments.data, arguments.only, arguments.sweeps, o.seed, o.threads});
  }
  if (arguments.law.empty() || arguments.input.path.empty()) {
    throw UsageError("fit needs --law NAME and --input runs.csv; `loglog fit list` shows the laws");
  }
  refuse_overwriting(arguments.output, {arguments.input.path});
  const bool is_formula = arguments.law.find('=') != std::string::npos;
  if (!is_formula && !arguments.starts.empty())
    throw UsageError("--start is for the parameters of a formula: --law 'L = ...'");
  const std::optional<fit::Procedure> named =
      is_formula ? std::nullopt : std::optional(fit::find_procedure(arguments.law));
  const fit::Table table = read_fit_table(arguments.input);
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
  const std::string checklist = arguments.checklist ? fit::checklist_text(result) : "";
  fmt::print("{}", arguments.json ? json : fit::to_text(result) + checklist);
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

void add_selftest_options(CLI::App& verb, FitArguments& a) {
  verb.add_option("--selftest", a.selftest,
                  "fit noise-free points of every law; accuracy: the published sweeps of --data. Exit 1 "
                  "when one does not come "
                  "back")
      ->expected(0, 1)
      ->type_name("[laws|accuracy|coverage|speed]")
      ->check(CLI::IsMember({"", "laws", "accuracy", "coverage", "speed"}));
  verb.add_option("--data", a.data, "folder of published sweeps, for --selftest=accuracy")
      ->check(not_empty());
  verb.add_option("--only", a.only, "--selftest=coverage: rows whose title holds this");
  verb.add_option("--sweeps", a.sweeps, "simulated for each row of --selftest=coverage")
      ->capture_default_str()
      ->check(whole_between(20, 1'000'000));
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
  add_fit_input(*verb, arguments->input);
  verb->add_option("--drop-highest", options.drop_highest, "leave out the K rows of largest loss")
      ->check(whole_between(0, 1'000'000));
  verb->add_option(
      "--delta", options.delta,
      "Huber delta on ln loss (default 1.345 x residual sd; 1e-3 replays papers; inf: least squares)");
  verb->add_option("--objective", options.objective, "laws: loss on residuals: huber, lad, lsq, quantile:TAU")
      ->capture_default_str();
  verb->add_flag("--raw", options.raw, "laws: residuals of the loss, not of ln loss");
  verb->add_option("--starts", options.starts, "laws: grid, or hoffmann: the 4500 of chinchilla's paper")
      ->capture_default_str();
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
  verb->add_option("--within", options.within,
                   "step-law: runs within this share of the best loss of their N and D count")
      ->capture_default_str();
  verb->add_flag("--json", arguments->json, "print JSON instead of a table");
  verb->add_flag("--checklist", arguments->checklist, "also print what a reader has to be told of the fit");
  verb->add_option("-o,--output", arguments->output, "also write the JSON to this file");
  add_selftest_options(*verb, *arguments);
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
  for (const auto add_subcommand :
       {add_fit_choose, add_fit_holdout, add_fit_influence, add_fit_disagree, add_fit_allocate,
        add_fit_convert, add_fit_design, add_fit_power, add_fit_test})
    add_subcommand(*verb, run);
  verb->callback([arguments, verb, &run] {
    if (verb->get_subcommands().empty()) run = [arguments, verb] { return run_fit(*arguments, *verb); };
  });
}

}  // namespace loglog::cli
