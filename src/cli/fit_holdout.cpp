// loglog fit holdout: how well a law predicts runs that it was not fitted to.
#include <memory>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/fit_output.hpp"
#include "cli/talk.hpp"
#include "fit/choice/holdout.hpp"

namespace loglog::cli {
namespace {

struct HoldoutArguments {
  FitInput input;
  FitOutput output;
  std::string law, by, holdout, interval = "auto";
  int drop_highest = 0;
  fit::SurfaceOptions options;
};

int run_holdout(const HoldoutArguments& a) {
  if (a.law.empty()) throw UsageError("fit holdout needs --law NAME; `loglog fit list` shows the laws");
  if (!a.by.empty() && !a.holdout.empty())
    throw UsageError("--by N is short for --holdout scale:N: give one of the two");
  const std::string by = a.by == "run" ? "run" : a.by.empty() ? "expanding" : "scale:" + a.by;
  const fit::HoldoutPlan plan = fit::holdout_named(a.holdout.empty() ? by : a.holdout);
  fit::SurfaceOptions options = a.options;
  options.intervals.kind = fit::interval_kind_named(a.interval);
  const fit::Table table = read_fit_table(a.input, a.output);
  const std::shared_ptr<const fit::Law> law = law_named(a.law, table);
  const fit::Runs runs = fit::select_runs(
      table, {fit::columns_for(plan, table, law->variables), a.drop_highest, false, law->response});
  fit::Holdout holdout =
      fit::hold_out(*law, runs, fit::make_folds(runs, plan, law->parameter_count() + 2), options);
  holdout.plan = plan.in_words();
  for (const fit::Exclusion& row : runs.excluded) talk("left out: {}: {}\n", row.place, row.reason);
  for (const std::string& warning : holdout.warnings) talk("warning: {}\n", warning);
  give(a.output, fit::to_json(holdout, runs), fit::to_text(holdout));
  return 0;
}

}  // namespace

void add_fit_holdout(CLI::App& fit, Action& run) {
  auto a = std::make_shared<HoldoutArguments>();
  a->options.intervals.resamples = 200;
  CLI::App* verb = fit.add_subcommand("holdout", "How well a law predicts runs that it was not fitted to");
  verb->add_option("--law", a->law, "of `loglog fit list`, or a formula");
  add_fit_input(*verb, a->input);
  verb->add_option("--by", a->by, "leave out each scale of C, N or D, or each run")
      ->check(CLI::IsMember({"C", "N", "D", "run"}));
  verb->add_option(
      "--holdout", a->holdout,
      "expanding (default: the cheapest fitted, the next predicted), expanding:C, scale:N, run or C<1e21");
  verb->add_option("--drop-highest", a->drop_highest, "leave out the K rows of largest loss")
      ->check(whole_between(0, 1'000'000));
  verb->add_option("--delta", a->options.delta, "Huber delta on ln loss (default 1.345 x residual sd)");
  verb->add_option("--bootstrap", a->options.intervals.resamples, "resamples for intervals, 0 for none")
      ->check(whole_between(0, 1'000'000))
      ->capture_default_str();
  verb->add_option("--interval", a->interval, "auto, bootstrap, noise, jackknife or profile")
      ->capture_default_str();
  verb->add_option("--seed", a->options.intervals.seed, "of the resampling")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
  verb->add_option("--threads", a->options.intervals.threads, "changes the time, not the result")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  add_fit_output(*verb, a->output);
  verb->footer(
      "Examples:\n"
      "  loglog fit holdout --law chinchilla --input runs.csv\n"
      "  loglog fit holdout --law chinchilla --input runs.csv --by N --json\n"
      "  loglog fit holdout --law chinchilla --input runs.csv --holdout 'C<1e21'");
  verb->callback([a, &run] { run = [a] { return run_holdout(*a); }; });
}

}  // namespace loglog::cli
