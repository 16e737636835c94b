#include "base/resample.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/rng.hpp"

namespace loglog {
namespace {

using Groups = std::vector<std::vector<std::size_t>>;  // rows of each

Groups groups_of(std::span<const std::size_t> group_of_row, std::size_t rows) {
  Groups groups;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t group = group_of_row.empty() ? row : group_of_row[row];
    if (group >= groups.size()) groups.resize(group + 1);
    groups[group].push_back(row);
  }
  return groups;
}

}  // namespace

Resampled resampled(const Columns& columns, std::span<const std::size_t> group_of_row,
                    const Statistic& statistic, std::uint64_t resamples, std::uint64_t seed) {
  const std::size_t rows = columns.empty() ? 0 : columns.front().size();
  for (const auto& column : columns)
    LOGLOG_CHECK(column.size() == rows, "columns of {} and {} rows", column.size(), rows);
  LOGLOG_CHECK(group_of_row.empty() || group_of_row.size() == rows, "groups of {} rows, not {}",
               group_of_row.size(), rows);
  const Groups groups = groups_of(group_of_row, rows);
  Resampled result;
  for (std::uint64_t draw = 0; draw < resamples && rows > 0; ++draw) {
    const Rng rng(seed, draw);
    Columns drawn(columns.size());
    for (std::size_t i = 0; i < groups.size(); ++i)
      for (const std::size_t row : groups[rng.below(i, groups.size())])
        for (std::size_t c = 0; c < columns.size(); ++c) drawn[c].push_back(columns[c][row]);
    const double value = statistic(drawn);
    if (std::isfinite(value)) result.values.push_back(value);
  }
  if (resamples > 0)
    result.undefined = 1 - static_cast<double>(result.values.size()) / static_cast<double>(resamples);
  return result;
}

}  // namespace loglog
