// The table of a sweep as text: CSV for fits, JSON lines to keep and to merge. Columns and fields are listed
// in docs/formats.md.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "sweep/store.hpp"

namespace loglog::sweep {

enum class Timing : bool { no, yes };  // whether columns that differ from machine to machine are written

// One line per finished, failed or abandoned run of a sweep, in the order of Store::runs_by_sweep(); loss is
// empty where there is none. Two stores with equal results give equal bytes with Timing::no.
std::string export_csv(const Store& store, Timing timing);

// One object per finished run (done or diverged) of a sweep, with everything needed to make the run's row again.
std::string export_jsonl(const Store& store, Timing timing);

// The results that export_jsonl wrote, for Store::import. What a line says twice must agree: the identity of each run,
// its N, D, C and seed are computed anew from its configuration. InputError with `name` and the line, also when there
// is none.
std::vector<FinishedRun> read_jsonl(std::string_view text, std::string_view name);

}  // namespace loglog::sweep
