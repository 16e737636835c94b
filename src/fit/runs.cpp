#include "fit/runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::fit {
namespace {

// Ours, and what Weights & Biases, MLflow and Optuna call it.
bool ended_well(std::string_view status) {
  constexpr std::string_view kNames[] = {"", "done", "finished", "FINISHED", "COMPLETE"};
  return std::ranges::find(kNames, status) != std::end(kNames);
}

const std::vector<std::string> kOptional = {"status", "error",  "progress",       "run",   "seed",
                                            "weight", "budget", "bigram_entropy", "epochs"};

std::vector<double> positive(const Table& table, const std::string& name, const std::vector<int>& rows) {
  std::vector<double> values = table.numbers(name);
  for (const int row : rows) {
    const double value = values[static_cast<std::size_t>(row)];
    if (std::isfinite(value) && value > 0) continue;
    throw InputError(
        fmt::format("{}: {} is {}; it must be a positive finite number (rows of failed runs are left out "
                    "when a column 'status' says so)",
                    table.place(row, name), name, value));
  }
  return values;
}

std::vector<int> done_rows(const Table& table, const RunOptions& options, std::vector<Exclusion>& excluded) {
  const std::vector<double> progress =
      options.finished_only && table.has("progress") ? table.numbers("progress") : std::vector<double>{};
  std::vector<int> rows;
  for (int row = 0; row < table.rows(); ++row) {
    const auto index = static_cast<std::size_t>(row);
    const std::string status = table.has("status") ? table.texts("status")[index] : "";
    if (!ended_well(status)) {
      const std::string error = table.has("error") ? table.texts("error")[index] : "";
      excluded.push_back(
          {table.place(row, "status"), "status is " + status + (error.empty() ? "" : ": " + error)});
    } else if (!progress.empty() && progress[index] < 1) {
      excluded.push_back({table.place(row, "progress"), "the loss was read before the end of the run"});
    } else {
      rows.push_back(row);
    }
  }
  return rows;
}

void drop_highest(const Table& table, const RunOptions& options, std::vector<int>& rows,
                  std::vector<Exclusion>& excluded) {
  const std::vector<double> loss = table.numbers(options.response);
  const int count = options.drop_highest;
  std::vector<int> order = rows;
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return loss[static_cast<std::size_t>(a)] > loss[static_cast<std::size_t>(b)];
  });
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  for (const int row : order) {
    excluded.push_back({table.place(row, options.response),
                        options.response == "loss"
                            ? fmt::format("among the {} highest losses", count)
                            : fmt::format("among the {} highest values of {}", count, options.response)});
    std::erase(rows, row);
  }
}

void leave_out_above_bigram(const Table& table, std::vector<int>& rows, std::vector<Exclusion>& excluded) {
  if (!table.has("bigram_entropy")) return;
  const std::vector<double> loss = table.numbers("loss");
  const std::vector<double> bigram = table.numbers("bigram_entropy");
  std::erase_if(rows, [&](int row) {
    const auto index = static_cast<std::size_t>(row);
    const std::string reason = reason_above_bigram(loss[index], bigram[index]);
    if (!reason.empty()) excluded.push_back({table.place(row, "loss"), reason});
    return !reason.empty();
  });
}

void number_clusters(const Table& table, Runs& runs) {
  std::map<std::string, int> known;
  for (const int row : runs.row) {
    const std::string name =
        table.has("run") ? table.texts("run")[static_cast<std::size_t>(row)] : std::to_string(row);
    runs.cluster.push_back(known.emplace(name, static_cast<int>(known.size())).first->second);
  }
  runs.clusters = static_cast<int>(known.size());
}

// An optional column, at these rows; empty unless all of them fulfil the condition.
std::vector<double> numbers_if_all(const Table& table, std::string_view name, const std::vector<int>& rows,
                                   bool (*condition)(double)) {
  if (!table.has(name) || !table.is_numeric(name)) return {};
  const std::vector<double> values = table.numbers(name);
  std::vector<double> chosen;
  for (const int row : rows) chosen.push_back(values[static_cast<std::size_t>(row)]);
  return std::all_of(chosen.begin(), chosen.end(), condition) ? chosen : std::vector<double>{};
}

}  // namespace

const std::vector<double>& Runs::column(const std::string& name) const {
  const auto found = std::find(variables.begin(), variables.end(), name);
  LOGLOG_CHECK(found != variables.end(), "no variable {}", name);
  return columns[static_cast<std::size_t>(found - variables.begin())];
}

std::string repeated_data_warning(std::ptrdiff_t runs) {
  if (runs == 0) return "";
  return fmt::format(
      "{} runs saw their data more than once; laws of unseen data do not hold for repeated data", runs);
}

std::string reason_above_bigram(double loss, double bigram_entropy) {
  if (!(loss >= bigram_entropy)) return "";  // also where there is none
  return fmt::format("loss {:.4f} is above the bigram entropy {:.4f} of its validation text", loss,
                     bigram_entropy);
}

Runs select_runs(const Table& table, const RunOptions& options) {
  Runs runs;
  runs.variables = options.variables;
  for (const std::string& name : options.variables) table.texts(name);  // a missing column before bad numbers
  table.texts(options.response);
  std::vector<int> rows = done_rows(table, options, runs.excluded);
  const std::vector<double> loss = positive(table, options.response, rows);
  if (options.response == "loss") leave_out_above_bigram(table, rows, runs.excluded);
  if (options.drop_highest > 0) drop_highest(table, options, rows, runs.excluded);
  for (const std::string& name : options.variables) {
    const std::vector<double> values = positive(table, name, rows);
    runs.columns.emplace_back();
    for (const int row : rows) runs.columns.back().push_back(values[static_cast<std::size_t>(row)]);
  }
  const std::vector<double> weight =
      table.has("weight") ? positive(table, "weight", rows) : std::vector<double>(loss.size(), 1.0);
  for (const int row : rows) {
    runs.loss.push_back(loss[static_cast<std::size_t>(row)]);
    runs.weight.push_back(weight[static_cast<std::size_t>(row)]);
  }
  if (rows.empty() && !runs.excluded.empty()) {
    const Exclusion& first = runs.excluded.front();
    throw InputError(fmt::format("all {} rows are left out, the first because {} ({})", table.rows(),
                                 first.reason, first.place));
  }
  // The compute that a run was meant to spend; the realised one differs by the rounding of steps.
  runs.budget = numbers_if_all(table, "budget", rows, [](double budget) { return budget > 0; });
  runs.seed = numbers_if_all(table, "seed", rows, [](double seed) { return !std::isnan(seed); });
  runs.row = std::move(rows);
  number_clusters(table, runs);

  if (table.has("epochs")) {
    const std::vector<double> epochs = table.numbers("epochs");
    const std::string warning =
        repeated_data_warning(std::count_if(runs.row.begin(), runs.row.end(), [&](int row) {
          return epochs[static_cast<std::size_t>(row)] > kOneEpoch;
        }));
    if (!warning.empty()) runs.warnings.push_back(warning);
  }
  if (table.has_named_rows()) return runs;  // a store: nobody has misspelt a column
  std::vector<std::string> ignored;
  for (const std::string& name : table.names()) {
    const auto is = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    if (name != options.response && !is(options.variables) && !is(kOptional)) ignored.push_back(name);
  }
  if (!ignored.empty()) runs.notices.push_back(fmt::format("columns not used: {}", fmt::join(ignored, ", ")));
  return runs;
}

}  // namespace loglog::fit
