// The table of runs that `fit` and its subcommands read.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "base/error.hpp"
#include "cli/fit.hpp"
#include "cli/talk.hpp"
#include "predict/store_table.hpp"

namespace loglog::cli {

// "NAME=REST" of --map and --where.
std::pair<std::string, std::string> split_pair(const std::string& text, const std::string& option) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw UsageError(fmt::format("{} '{}': write NAME=VALUE", option, text));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

namespace {

fit::Table read_runs(const std::string& path, const std::string& sweep) {
  if (!sweep::is_store(path)) return fit::Table::read_csv(path);
  const sweep::Store store(path, sweep::Store::Mode::read);
  fit::Table table = predict::table_of(store, sweep);
  if (const predict::RunCount count = predict::count_runs(store, sweep); count.unfinished > 0)
    talk("loglog: warning: {} of {} runs have no result yet\n", count.unfinished, count.all);
  return table;
}

// Tuning runs and the runs of the law may lie in one store; a fit of both would be a fit of neither.
void require_one_sweep(const fit::Table& table, const std::string& input) {
  if (!table.has("sweep")) return;
  const std::vector<std::string>& cells = table.texts("sweep");
  const std::set<std::string> names(cells.begin(), cells.end());
  if (names.size() <= 1) return;
  throw UsageError(fmt::format("{} holds the runs of {}: choose with --sweep {}", input,
                               fmt::join(names, ", "), *names.begin()));
}

}  // namespace

fit::Table read_fit_table(const FitInput& input) {
  fit::Table table = read_runs(input.path, input.sweep);
  std::vector<std::string> conditions = input.conditions;
  if (!input.sweep.empty()) conditions.push_back("sweep=" + input.sweep);
  for (const std::string& condition : conditions) {
    const auto [name, value] = split_pair(condition, "--where");
    const std::vector<std::string>& cells = table.texts(name);
    std::vector<int> rows;
    for (int row = 0; row < table.rows(); ++row) {
      if (cells[static_cast<std::size_t>(row)] == value) rows.push_back(row);
    }
    if (rows.empty()) throw UsageError(fmt::format("no row of {} has {}", input.path, condition));
    table = table.select(rows);
  }
  require_one_sweep(table, input.path);
  for (const std::string& map : input.maps) {
    const auto [name, column] = split_pair(map, "--map");
    table.rename(column, name);
  }
  for (const std::string& definition : input.derivations) table.derive(definition);
  return table;
}

void add_fit_input(CLI::App& verb, FitInput& input) {
  verb.add_option("--input", input.path, "CSV with a header line, or the store of a sweep");
  verb.add_option("--sweep", input.sweep, "of a store with several sweeps: the one to fit");
  verb.add_option("--map", input.maps, "use a column under another name: N='Model Size'")
      ->allow_extra_args(false);
  verb.add_option("--derive", input.derivations, "make a column: 'D=C/(6*N)'")->allow_extra_args(false);
  verb.add_option("--where", input.conditions, "keep rows whose cell is VALUE: COLUMN=VALUE")
      ->allow_extra_args(false);
}

}  // namespace loglog::cli
