// The finished runs of a store as the table that fits read.
#pragma once
#include <cstdint>
#include <string>

#include "fit/table.hpp"
#include "sweep/store.hpp"

namespace loglog::predict {

struct RunCount {
  std::int64_t all = 0, unfinished = 0;  // queued, running or checkpointed
};
RunCount count_runs(const sweep::Store& store, const std::string& sweep);

// A row for each finished, failed or abandoned run that belongs to `sweep`, or to any where that is empty; columns as `sweep export`
// writes them, without times. RefusedError where runs are planned and none is finished.
fit::Table table_of(const sweep::Store& store, const std::string& sweep);

}  // namespace loglog::predict
