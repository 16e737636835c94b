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

// Lines of the same form, with their line ends: one run with its result, and one that is planned and has none.
std::string result_line(const RunSpec& spec, const Outcome& outcome, Timing timing);
std::string planned_line(const RunSpec& spec);

// Runs of a JSONL file, with their results or merely planned.
template <class Run>
struct Lines {
  std::vector<Run> runs;
  std::string
      torn;  // "NAME:LINE" of a last line that breaks off, as a writer leaves it that was killed; empty for none
};

// What export_jsonl and result_line wrote, for Store::import. What a line says twice must agree: the identity of each
// run, its N, D, C and seed are computed anew from its configuration. InputError with `name` and the line.
Lines<FinishedRun> read_jsonl(std::string_view text, std::string_view name);

// The same of what planned_line wrote.
Lines<RunSpec> read_planned(std::string_view text, std::string_view name);

}  // namespace loglog::sweep
