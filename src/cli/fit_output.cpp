#include "cli/fit_output.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"

namespace loglog::cli {

void add_fit_output(CLI::App& verb, FitOutput& output) {
  verb.add_flag("--json", output.json, "print JSON instead of a table");
  verb.add_option("-o,--output", output.path, "also write the JSON to this file");
}

void give(const FitOutput& output, const nlohmann::ordered_json& json, const std::string& text) {
  const std::string written = json_text(json, 2) + "\n";
  if (!output.path.empty()) write_atomically(real_file_system(), output.path, written);
  fmt::print("{}", output.json ? written : text);
}

fit::Table read_fit_table(const FitInput& input, const FitOutput& output) {
  if (input.path.empty())
    throw UsageError("--input runs.csv is missing: the table of runs, or the store of a sweep");
  refuse_overwriting(output.path, {input.path});
  return read_fit_table(input);
}

std::shared_ptr<const fit::Law> law_named(const std::string& text, const fit::Table& table) {
  if (text.find('=') != std::string::npos)
    return std::make_shared<const fit::Law>(fit::law_of_formula(text, table.names(), {}));
  const fit::Law& law = find_named("law", text, fit::laws(), &fit::Law::name);
  return {&law, [](const fit::Law*) {}};  // lives for ever
}

}  // namespace loglog::cli
