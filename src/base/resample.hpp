// Statistics of tables, resampled.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace loglog {

using Columns = std::vector<std::vector<double>>;  // all of one length
using Statistic = std::function<double(const Columns&)>;

struct Resampled {
  std::vector<double> values;  // in the order of the draws
  double undefined = 0;        // share of draws whose statistic is not finite; `values` lacks them
};

// The statistic of `resamples` tables whose rows are drawn with replacement, whole groups of them: rows that are not independent of
// each other (checkpoints of one run) stay together, as many groups as there are (Davison & Hinkley 1997, section 3.8, strategy 1).
// `group_of_row`: 0, 1, ..., each at least once; empty where every row is its own. A table without rows has no statistic in any draw. Depends
// on the arguments alone. ContractError for columns or groups of another length.
Resampled resampled(const Columns& columns, std::span<const std::size_t> group_of_row,
                    const Statistic& statistic, std::uint64_t resamples, std::uint64_t seed);

}  // namespace loglog
