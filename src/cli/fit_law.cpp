// The law that subcommands of `fit` ask about.
#include "cli/fit_law.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/items.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/talk.hpp"

namespace loglog::cli {

void add_law_options(CLI::App& verb, LawArguments& a) {
  verb.add_option("--law", a.law, "law of N and D, `loglog fit list` shows them")->required();
  add_fit_input(verb, a.input);
  verb.add_option("--drop-highest", a.options.drop_highest, "leave out the K rows of largest loss")
      ->check(whole_between(0, 1'000'000));
  verb.add_option("--delta", a.options.delta, "Huber delta on ln loss (default 1.345 x residual sd)");
  verb.add_option("--bootstrap", a.options.bootstrap, "resamples for intervals, 0 for none")
      ->capture_default_str()
      ->check(whole_between(0, 1'000'000));
  verb.add_option("--interval", a.options.interval, "bootstrap, noise, jackknife, profile or auto")
      ->capture_default_str();
  verb.add_option("--seed", a.options.seed, "of the resampling")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
  verb.add_option("--threads", a.options.threads, "changes the time, not the result")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  verb.add_flag("--json", a.json, "print JSON instead of text");
  verb.add_option("-o,--output", a.output, "also write the JSON to this file");
}

fit::FittedLaw fit_law(const LawArguments& a) {
  return fit_law(a, a.input);
}

fit::FittedLaw fit_law(const LawArguments& a, const FitInput& input) {
  if (input.path.empty()) throw UsageError("--input runs.csv is missing");
  refuse_overwriting(a.output, {input.path});
  const auto law = fit::law_named(a.law);
  fit::FittedLaw fitted = fit::fit_law(law, read_fit_table(input), a.options);
  for (const fit::Exclusion& row : fitted.result.excluded) talk("left out: {}: {}\n", row.place, row.reason);
  for (const std::string& warning : fitted.result.warnings) talk("warning: {}\n", warning);
  return fitted;
}

int print_answer(const LawArguments& a, const nlohmann::ordered_json& json, const std::string& text) {
  const std::string written = json_text(json, 2) + "\n";
  if (!a.output.empty()) write_atomically(real_file_system(), a.output, written);
  fmt::print("{}", a.json ? written : text);
  return 0;
}

double positive_number(std::string_view text, const std::string& option) {
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
    throw UsageError(fmt::format("{}: '{}' is no number", option, text));
  if (!(number > 0) || std::isinf(number))
    throw UsageError(fmt::format("{}: {} is not positive and finite", option, text));
  return number;
}

std::map<std::string, double> numbers_by_name(const std::string& text, const std::string& option) {
  std::map<std::string, double> numbers;
  for (const std::string_view item : items_of(text)) {
    const auto [name, value] = split_pair(std::string(item), option);
    if (!numbers.emplace(name, positive_number(value, option)).second)
      throw UsageError(fmt::format("{} '{}': {} is there twice", option, text, name));
  }
  return numbers;
}

}  // namespace loglog::cli
