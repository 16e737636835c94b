// From a table of runs to the rows that a procedure may use, and the reasons for the others.
#pragma once
#include <string>
#include <vector>

#include "fit/table.hpp"

namespace loglog::fit {

struct Exclusion {
  std::string place;   // "runs.csv:12"
  std::string reason;  // "status is diverged"
};

struct RunOptions {
  std::vector<std::string> variables;  // required besides loss, positive
  int drop_highest = 0;                // rows of largest loss to leave out
  bool finished_only = false;          // leave out rows whose column `progress` is below 1
  std::string response = "loss";       // the column that is fitted, positive; Runs::loss holds it
};

// The usable rows, column by column.
struct Runs {
  std::vector<std::string> variables;
  std::vector<std::vector<double>> columns;  // one per variable
  std::vector<double> loss;
  std::vector<double> weight;  // 1 unless there is a column `weight`
  std::vector<double> budget;  // column `budget` where every row has a positive one, else empty
  std::vector<double> seed;    // column `seed` where every row has a number, else empty
  std::vector<int> cluster;    // equal for rows of one `run`; consecutive from 0
  std::vector<int> row;        // index in the table
  int clusters = 0;
  std::vector<Exclusion> excluded;
  std::vector<std::string> notices;   // columns that were ignored
  std::vector<std::string> warnings;  // repeated data
  int size() const { return static_cast<int>(loss.size()); }
  const std::vector<double>& column(const std::string& name) const;
};

inline constexpr double kOneEpoch = 1.0001;  // windows at the end of the text round it up

// Empty for none.
std::string repeated_data_warning(std::ptrdiff_t runs);

// Why a run on text is left out that predicts worse than pairs of neighbouring tokens (data/bigram.hpp): it has
// learned no language yet, and no law of trained models holds for it. Empty where it does better.
std::string reason_above_bigram(double loss, double bigram_entropy);

// UsageError for a missing column; InputError with the place of a loss, variable or weight that is not a
// positive finite number. Rows whose `status` is neither empty nor "done" (or what others call that) are excluded before their numbers
// are looked at, those with a loss above their `bigram_entropy` after it.
Runs select_runs(const Table& table, const RunOptions& options);

}  // namespace loglog::fit
