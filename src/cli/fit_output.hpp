// What subcommands of `fit` that give one JSON and one table share.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/fit.hpp"
#include "fit/law.hpp"

namespace loglog::cli {

struct FitOutput {
  bool json = false;
  std::string path;
};
void add_fit_output(CLI::App& verb, FitOutput& output);  // --json -o

// The JSON to the file, where one was named, and one of the two to standard output.
void give(const FitOutput& output, const nlohmann::ordered_json& json, const std::string& text);

// Reads the table after refusing to overwrite it; UsageError without --input.
fit::Table read_fit_table(const FitInput& input, const FitOutput& output);

// A law of the list, or the formula that a user wrote. UsageError for neither.
std::shared_ptr<const fit::Law> law_named(const std::string& text, const fit::Table& table);

}  // namespace loglog::cli
