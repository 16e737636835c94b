// loglog fit power: how many runs more. loglog fit test: do the data reject these constants?
#include <fmt/format.h>

#include <memory>

#include "cli/arguments.hpp"
#include "cli/fit_law.hpp"
#include "fit/allocation/likelihood_ratio.hpp"
#include "fit/allocation/power.hpp"

namespace loglog::cli {
namespace {

struct PowerArguments {
  LawArguments law;
  fit::PowerQuestion question;
};

int run_power(const PowerArguments& a) {
  const fit::FittedLaw fitted = fit_law(a.law);
  const fit::PowerAnswer answer = fit::runs_needed(fitted, a.question);
  return print_answer(a.law, fit::power_json(fitted, a.question, answer),
                      fit::power_text(fitted, a.question, answer));
}

struct TestArguments {
  LawArguments law;
  std::string constants;
};

int run_test(TestArguments a) {
  a.law.options.bootstrap = 0;
  const auto law = fit::law_named(a.law.law);
  const fit::Vector constants = fit::theta_of(*law, numbers_by_name(a.constants, "--constants"));
  const fit::FittedLaw fitted = fit_law(a.law);
  const fit::LikelihoodRatio test = fit::likelihood_ratio(fitted, constants);
  return print_answer(a.law, fit::likelihood_ratio_json(fitted, test),
                      fit::likelihood_ratio_text(fitted, test));
}

}  // namespace

void add_fit_power(CLI::App& fit, Action& run) {
  auto arguments = std::make_shared<PowerArguments>();
  CLI::App* verb = fit.add_subcommand("power", "How many runs more make a number as sure as one wants it");
  add_law_options(*verb, arguments->law);
  verb->add_option("--quantity", arguments->question.quantity, "parameter, or exponent a or b of the optimum")
      ->required();
  verb->add_option("--width", arguments->question.width, "that its interval shall have, from end to end")
      ->required()
      ->check(number_between(1e-300, 1e300));
  verb->add_option("--level", arguments->question.level, "of that interval")
      ->capture_default_str()
      ->check(number_between(0.01, 0.9999));
  verb->footer(
      "Example:\n"
      "  loglog fit power --law chinchilla --input runs.csv --quantity a --width 0.02 --level 0.8");
  verb->callback([arguments, &run] { run = [arguments] { return run_power(*arguments); }; });
}

void add_fit_test(CLI::App& fit, Action& run) {
  auto arguments = std::make_shared<TestArguments>();
  CLI::App* verb = fit.add_subcommand("test", "Whether the runs reject constants, of a paper for example");
  add_law_options(*verb, arguments->law);
  verb->add_option("--constants", arguments->constants,
                   "all parameters of the law: E=1.69,A=406.4,alpha=0.34,...")
      ->required();
  verb->footer(
      "Example:\n"
      "  loglog fit test --law chinchilla --input runs.csv \\\n"
      "                  --constants E=1.69,A=406.4,alpha=0.34,B=410.7,beta=0.28");
  verb->callback([arguments, &run] { run = [arguments] { return run_test(*arguments); }; });
}

}  // namespace loglog::cli
