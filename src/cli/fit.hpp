// What the verb `fit` and its subcommands share.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/verb.hpp"
#include "fit/table.hpp"

namespace loglog::cli {

// Where runs are read from, and what their columns are called there.
struct FitInput {
  std::string path;  // CSV, or the store of a sweep
  std::string sweep;
  std::vector<std::string> maps, derivations, conditions;
};
void add_fit_input(CLI::App& verb, FitInput& input);  // --input --sweep --map --derive --where
// UsageError for options that do not fit the table, InputError for a bad one, RefusedError where no run is finished.
fit::Table read_fit_table(const FitInput& input);

// "NAME=REST"; UsageError names the option.
std::pair<std::string, std::string> split_pair(const std::string& text, const std::string& option);

// Subcommands, a file fit_NAME.cpp each.
void add_fit_choose(CLI::App& fit, Action& run);
void add_fit_disagree(CLI::App& fit, Action& run);
void add_fit_holdout(CLI::App& fit, Action& run);
void add_fit_influence(CLI::App& fit, Action& run);
void add_fit_allocate(CLI::App& fit, Action& run);
void add_fit_convert(CLI::App& fit, Action& run);
void add_fit_design(CLI::App& fit, Action& run);
void add_fit_power(CLI::App& fit, Action& run);
void add_fit_test(CLI::App& fit, Action& run);

struct SelftestArguments {
  std::string kind;  // laws (also ""), accuracy, coverage or speed
  std::string data;  // folder of published sweeps
  std::string only;  // coverage: rows whose title holds this
  int sweeps = 1000;
  std::uint64_t seed = 1;
  int threads = 1;
};
int run_fit_selftest(const SelftestArguments& arguments);  // the exit code

}  // namespace loglog::cli
