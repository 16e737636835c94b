// The law that subcommands of `fit` ask about: fitted to a table, or given by its parameters.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "cli/fit.hpp"
#include "fit/allocation/fitted_law.hpp"

namespace loglog::cli {

struct LawArguments {
  std::string law;
  FitInput input;
  fit::ProcedureOptions options;
  std::string output;
  bool json = false;
};
void add_law_options(CLI::App& verb,
                     LawArguments& arguments);  // --law, those of the table, --delta ... --json -o

// Says on standard error what is wrong with the fit.
fit::FittedLaw fit_law(const LawArguments& arguments);
fit::FittedLaw fit_law(const LawArguments& arguments, const FitInput& input);

// To the file of -o, and JSON or text to standard output. The exit code.
int print_answer(const LawArguments& arguments, const nlohmann::ordered_json& json, const std::string& text);

// "N=1e9,D=2e10"; UsageError names the option.
std::map<std::string, double> numbers_by_name(const std::string& text, const std::string& option);
double positive_number(std::string_view text, const std::string& option);

}  // namespace loglog::cli
