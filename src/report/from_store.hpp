// A report from a store of runs: reads the runs, fits the laws, and gathers what the page says about them.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "report/sweep_report.hpp"
#include "sweep/store.hpp"

namespace loglog::report {

struct ReportOptions {
  std::string title;              // empty: the name of the store
  std::string sweep;              // whose runs; empty: the only one of the store
  std::vector<std::string> laws;  // empty: chinchilla, and isoflop when the runs have budgets
  int bootstrap = 400;            // resamples behind the intervals
  std::uint64_t seed = 1;
  int threads = 1;
};

// RefusedError when no run is finished; UsageError for an unknown law or sweep. A law that cannot be fitted
// becomes a refusal on the page.
SweepReport report_of(const sweep::Store& store, const ReportOptions& options);

// The part of a token file's description that says how well its source can be predicted at all, for the
// context of the runs. Empty for data that nobody's formula made.
KnownFloor known_floor(const nlohmann::json& token_file_meta, std::int64_t context);

// Where the runs found their data, and the context they were trained with.
struct DataUse {
  std::string path;
  std::string checksum;
  std::int64_t context = 0;
};
DataUse data_of(const sweep::Store& store, const ReportOptions& options);

}  // namespace loglog::report
