// loglog fit allocate: what to do with an amount of compute.
#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/items.hpp"
#include "cli/arguments.hpp"
#include "cli/fit_law.hpp"
#include "fit/allocation/allocate.hpp"

namespace loglog::cli {
namespace {

struct AllocateArguments {
  LawArguments law;
  std::string flops, sizes, within = "0.1%", cost = "6*N", against;
};

std::vector<double> numbers_of(const std::string& text, const std::string& option) {
  std::vector<double> list;
  if (text.empty()) return list;
  for (const std::string_view item : items_of(text)) list.push_back(positive_number(item, option));
  return list;
}

// "0.1%" or "0.001"
double share_of(std::string text, const std::string& option) {
  const bool percent = text.ends_with('%');
  if (percent) text.pop_back();
  return positive_number(text, option) / (percent ? 100 : 1);
}

int run_allocate(const AllocateArguments& a) {
  fit::AllocateOptions options;
  options.flops = numbers_of(a.flops, "--flops");
  options.sizes = numbers_of(a.sizes, "--size");
  options.within = share_of(a.within, "--within");
  options.cost = fit::TokenCost(a.cost);
  const fit::FittedLaw fitted = fit_law(a.law);
  const std::vector<fit::AllocationAt> list = fit::allocate(fitted, options);
  std::vector<fit::EffectiveCompute> against;
  if (!a.against.empty()) {
    FitInput other = a.law.input;
    other.path = a.against;
    against = fit::effective_compute(fitted, fit_law(a.law, other), options);
  }
  return print_answer(a.law, fit::allocation_json(fitted, list, against, options.within),
                      fit::allocation_text(fitted, list, against, options.within));
}

}  // namespace

void add_fit_allocate(CLI::App& fit, Action& run) {
  auto arguments = std::make_shared<AllocateArguments>();
  CLI::App* verb = fit.add_subcommand(
      "allocate", "The best size and tokens for an amount of compute, and what other sizes cost");
  add_law_options(*verb, arguments->law);
  verb->add_option("--flops", arguments->flops, "amounts of compute, with commas between")->required();
  verb->add_option("--within", arguments->within, "of the best loss: sizes that are as good")
      ->capture_default_str();
  verb->add_option("--size", arguments->sizes,
                   "sizes whose cost is asked for (default: 1/4, 1/2, 2 and 4 times the best)");
  verb->add_option("--flops-per-token", arguments->cost, "cost of training on a token, a formula in N")
      ->capture_default_str();
  verb->add_option("--against", arguments->against,
                   "table of another recipe: by which factor of compute this one is ahead of it")
      ->check(not_empty());
  verb->footer(
      "Example:\n"
      "  loglog fit allocate --law chinchilla --input runs.csv --flops 1e21,5.76e23 --within 0.1%\n"
      "  loglog fit allocate --law chinchilla --input new.csv --against old.csv --flops 1e20");
  verb->callback([arguments, &run] { run = [arguments] { return run_allocate(*arguments); }; });
}

}  // namespace loglog::cli
