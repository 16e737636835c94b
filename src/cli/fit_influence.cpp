// loglog fit influence: what each run does to a fit, and which runs the law does not explain.
#include <memory>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/fit_output.hpp"
#include "cli/talk.hpp"
#include "fit/choice/influence.hpp"

namespace loglog::cli {
namespace {

struct InfluenceArguments {
  FitInput input;
  FitOutput output;
  std::string law;
  int drop_highest = 0, threads = 1, rows = 10;
  fit::SurfaceOptions options;
};

int run_influence(const InfluenceArguments& a) {
  if (a.law.empty()) throw UsageError("fit influence needs --law NAME; `loglog fit list` shows the laws");
  const fit::Table table = read_fit_table(a.input, a.output);
  const std::shared_ptr<const fit::Law> law = law_named(a.law, table);
  const fit::Runs runs = fit::select_runs(table, {law->variables, a.drop_highest, false, law->response});
  const fit::InfluenceReport report = fit::influence(*law, table, runs, a.options, a.threads);
  for (const fit::Exclusion& row : runs.excluded) talk("left out: {}: {}\n", row.place, row.reason);
  for (const std::string& warning : report.fit.warnings) talk("warning: {}\n", warning);
  give(a.output, fit::to_json(report, runs), fit::to_text(report, a.rows));
  return 0;
}

}  // namespace

void add_fit_influence(CLI::App& fit, Action& run) {
  auto a = std::make_shared<InfluenceArguments>();
  a->options.intervals.resamples = 0;
  CLI::App* verb =
      fit.add_subcommand("influence", "What each run does to a fit, and which runs the law does not explain");
  verb->add_option("--law", a->law, "of `loglog fit list`, or a formula");
  add_fit_input(*verb, a->input);
  verb->add_option("--drop-highest", a->drop_highest, "leave out the K rows of largest loss")
      ->check(whole_between(0, 1'000'000));
  verb->add_option("--delta", a->options.delta,
                   "Huber delta on ln loss (default 1.345 x residual sd; inf: least squares)");
  verb->add_option("--rows", a->rows, "of the table, those of the largest Cook's distance")
      ->check(whole_between(0, 1'000'000))
      ->capture_default_str();
  verb->add_option("--threads", a->threads, "changes the time, not the result")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  add_fit_output(*verb, a->output);
  verb->footer(
      "Examples:\n"
      "  loglog fit influence --law chinchilla --input runs.csv\n"
      "  loglog fit influence --law chinchilla --input runs.csv --json -o influence.json");
  verb->callback([a, &run] { run = [a] { return run_influence(*a); }; });
}

}  // namespace loglog::cli
