// loglog fit choose: which of several laws predicts held-out runs best, or that the runs do not tell.
#include <algorithm>
#include <memory>

#include "base/items.hpp"
#include "cli/arguments.hpp"
#include "cli/fit_output.hpp"
#include "cli/talk.hpp"
#include "fit/choice/choose.hpp"

namespace loglog::cli {
namespace {

struct ChooseArguments {
  FitInput input;
  FitOutput output;
  std::string laws, holdout;
  fit::ChooseOptions options;
};

int run_choose(const ChooseArguments& a) {
  fit::ChooseOptions options = a.options;
  options.plan = fit::holdout_named(a.holdout);
  const fit::Table table = read_fit_table(a.input, a.output);
  std::vector<std::string> names = fit::default_laws(table);
  if (!a.laws.empty()) {
    names.clear();
    for (const std::string_view name : items_of(a.laws)) names.emplace_back(name);
  }
  std::vector<std::shared_ptr<const fit::Law>> owned;
  std::vector<const fit::Law*> laws;
  for (const std::string& name : names) {
    owned.push_back(law_named(name, table));
    laws.push_back(owned.back().get());
  }
  const fit::Choice choice = fit::choose(table, laws, options);
  for (const std::string& warning : choice.warnings) talk("warning: {}\n", warning);
  give(a.output, fit::to_json(choice), fit::to_text(choice));
  return 0;
}

}  // namespace

void add_fit_choose(CLI::App& fit, Action& run) {
  auto a = std::make_shared<ChooseArguments>();
  CLI::App* verb =
      fit.add_subcommand("choose", "Choose among laws by what they predict of held-out runs, or refuse to");
  add_fit_input(*verb, a->input);
  verb->add_option("--laws", a->laws,
                   "with commas, of `loglog fit list`, or formulas (default: those of the columns)");
  verb->add_option(
      "--holdout", a->holdout,
      "C<1e21 (fitted below), expanding, expanding:C, scale:N or run (default: the dearest quarter)");
  verb->add_option("--drop-highest", a->options.drop_highest, "leave out the K rows of largest loss")
      ->check(whole_between(0, 1'000'000));
  verb->add_option("--delta", a->options.surface.delta,
                   "Huber delta on ln loss (default 1.345 x residual sd)");
  verb->add_option("--seed", a->options.seed, "of the resampling")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
  verb->add_option("--bootstrap", a->options.resamples, "resamples, of all runs, behind the verdict")
      ->check(whole_between(100, 1'000'000))
      ->capture_default_str();
  verb->add_option("--threads", a->options.threads, "changes the time, not the result")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  add_fit_output(*verb, a->output);
  verb->footer(
      "Examples:\n"
      "  loglog fit choose --input runs.csv\n"
      "  loglog fit choose --input runs.csv --laws chinchilla,chinchilla-tied,kaplan --holdout 'C<1e21' "
      "--json\n"
      "  loglog fit choose --input curve.csv --laws power-D,power-D-floor --holdout expanding");
  verb->callback([a, &run] { run = [a] { return run_choose(*a); }; });
}

}  // namespace loglog::cli
