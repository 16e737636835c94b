// Statistics of tables, resampled.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace loglog {

using Columns = std::vector<std::vector<double>>;  // all of one length
using Statistic = std::function<double(const Columns&)>;

// The statistic of `resamples` tables whose rows are drawn with replacement, whole groups of them: rows that are not independent of
// each other (checkpoints of one run) stay together, as many groups as there are (Davison & Hinkley 1997, section 3.8, strategy 1).
// `group_of_row`: 0, 1, ..., each at least once; empty where every row is its own. Values that are not finite are left out. Depends on
// the arguments alone. ContractError for columns or groups of another length.
std::vector<double> resampled(const Columns& columns, std::span<const std::size_t> group_of_row,
                              const Statistic& statistic, std::uint64_t resamples, std::uint64_t seed);

}  // namespace loglog
