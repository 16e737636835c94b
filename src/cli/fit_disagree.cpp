// loglog fit disagree: whether the three approaches differ about N_opt by more than noise explains.
#include <memory>

#include "cli/arguments.hpp"
#include "cli/fit_output.hpp"
#include "cli/talk.hpp"
#include "fit/choice/disagreement.hpp"

namespace loglog::cli {
namespace {

struct DisagreeArguments {
  FitInput input;
  FitOutput output;
  std::string law = "chinchilla";
  int drop_highest = 0;
  fit::DisagreementOptions options;
};

int run_disagree(const DisagreeArguments& a) {
  const fit::Table table = read_fit_table(a.input, a.output);
  const std::shared_ptr<const fit::Law> law = law_named(a.law, table);
  const fit::Runs runs = fit::select_runs(table, {{"N", "D", "C"}, a.drop_highest, true});
  const fit::Disagreement result = fit::disagreement(*law, runs, a.options);
  for (const fit::Exclusion& row : runs.excluded) talk("left out: {}: {}\n", row.place, row.reason);
  for (const std::string& warning : result.warnings) talk("warning: {}\n", warning);
  give(a.output, fit::to_json(result), fit::to_text(result));
  return 0;
}

}  // namespace

void add_fit_disagree(CLI::App& fit, Action& run) {
  auto a = std::make_shared<DisagreeArguments>();
  CLI::App* verb = fit.add_subcommand(
      "disagree", "Whether approaches 1, 2 and 3 differ about N_opt ~ C^a by more than noise explains");
  add_fit_input(*verb, a->input);
  verb->add_option("--law", a->law, "approach 3: one of N and D with an optimum")->capture_default_str();
  verb->add_option("--drop-highest", a->drop_highest, "leave out the K rows of largest loss")
      ->check(whole_between(0, 1'000'000));
  verb->add_option("--delta", a->options.delta, "Huber delta on ln loss (default 1.345 x residual sd)");
  verb->add_option("--sides", a->options.sides, "isoflop: sizes needed on each side of a minimum")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  verb->add_option("--sigma", a->options.sigma,
                   "relative seed noise, a number or a formula in N (default: the law's residuals)");
  verb->add_option("--bootstrap", a->options.resamples, "draws of the noise")
      ->check(whole_between(100, 1'000'000))
      ->capture_default_str();
  verb->add_option("--seed", a->options.seed, "of the draws")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
  verb->add_option("--threads", a->options.threads, "changes the time, not the result")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  add_fit_output(*verb, a->output);
  verb->footer(
      "Examples:\n"
      "  loglog fit disagree --input runs.csv\n"
      "  loglog fit disagree --input runs.csv --law chinchilla-tied --sigma '0.007*(N/12000)^-0.4' --json");
  verb->callback([a, &run] { run = [a] { return run_disagree(*a); }; });
}

}  // namespace loglog::cli
