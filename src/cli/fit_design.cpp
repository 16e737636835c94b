// loglog fit design: which run to do next.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/items.hpp"
#include "cli/arguments.hpp"
#include "cli/fit_law.hpp"
#include "fit/allocation/design.hpp"

namespace loglog::cli {
namespace {

struct DesignArguments {
  LawArguments law;
  std::string target, candidates, cost = "6*N";
  fit::DesignOptions options;
  std::optional<double> budget;
};

// "1e8,3e8 x 5,20,80": every size with every ratio D / N.
std::vector<fit::Place2> candidates_of(const std::string& text) {
  const std::string_view view = text;
  const std::size_t cross = view.find('x');
  if (cross == std::string_view::npos)
    throw UsageError(fmt::format("--candidates '{}': write SIZES x RATIOS, as '1e8,3e8 x 5,20,80'", text));
  const auto numbers = [](std::string_view list) {
    while (list.starts_with(' ')) list.remove_prefix(1);
    while (list.ends_with(' ')) list.remove_suffix(1);
    std::vector<double> values;
    for (const std::string_view item : items_of(list))
      values.push_back(positive_number(item, "--candidates"));
    return values;
  };
  std::vector<fit::Place2> places;
  const std::vector<double> ratios = numbers(view.substr(cross + 1));
  for (const double N : numbers(view.substr(0, cross)))
    for (const double ratio : ratios) places.push_back({N, ratio * N});
  return places;
}

int run_design(const DesignArguments& a) {
  fit::DesignOptions options = a.options;
  const auto target = numbers_by_name(a.target, "--target");
  if (target.size() != 2 || !target.contains("N") || !target.contains("D"))
    throw UsageError(fmt::format("--target '{}': write N=...,D=...", a.target));
  options.target = {target.at("N"), target.at("D")};
  if (!a.candidates.empty()) options.candidates = candidates_of(a.candidates);
  options.cost = fit::TokenCost(a.cost);
  if (a.budget) options.budget = *a.budget;
  LawArguments law = a.law;
  law.options.bootstrap = 0;  // the design has its own variance
  const fit::FittedLaw fitted = fit_law(law);
  const fit::Design design = fit::design_runs(fitted, options);
  return print_answer(law, fit::design_json(fitted, design, options),
                      fit::design_text(fitted, design, options));
}

}  // namespace

void add_fit_design(CLI::App& fit, Action& run) {
  auto arguments = std::make_shared<DesignArguments>();
  CLI::App* verb = fit.add_subcommand("design", "Which runs to do next to know the loss at a target better");
  add_law_options(*verb, arguments->law);
  verb->add_option("--target", arguments->target, "N=...,D=...: where the loss is wanted")->required();
  verb->add_option("--candidates", arguments->candidates,
                   "sizes x ratios D/N, '1e8,3e8 x 5,20,80' (default: 11 x 6 over the trust region)");
  verb->add_option("--budget", arguments->budget, "FLOPs for all new runs together: a plan of several")
      ->check(number_between(1e-300, 1e300));
  verb->add_option("--most-runs", arguments->options.most_runs, "of a plan")
      ->capture_default_str()
      ->check(CLI::Range(1, 200));
  verb->add_option("--trust", arguments->options.trust,
                   "how far beyond data and target candidates may be, a factor; inf: anywhere")
      ->capture_default_str()
      ->check(number_between(1, INFINITY));
  verb->add_option(
          "--tau", arguments->options.tau,
          "discrepancy of ln loss between runs a factor e apart (default: from the residuals; 0: none)")
      ->check(number_between(0, 10));
  verb->add_option("--flops-per-token", arguments->cost, "cost of training on a token, a formula in N")
      ->capture_default_str();
  verb->footer(
      "Example:\n"
      "  loglog fit design --law chinchilla --input runs.csv --target N=1e9,D=2e10 --budget 1e18");
  verb->callback([arguments, &run] { run = [arguments] { return run_design(*arguments); }; });
}

}  // namespace loglog::cli
