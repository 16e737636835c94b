// Parts of the verb `sweep`.
#pragma once
#include <string>

#include "cli/verb.hpp"
#include "sweep/plan.hpp"

namespace loglog::cli {

void add_sweep_plan(CLI::App& sweep, const Environment& environment, Action& run);
void add_sweep_run(CLI::App& sweep, const Environment& environment, Action& run);     // and resume
void add_sweep_worker(CLI::App& sweep, const Environment& environment, Action& run);  // not for people
void add_sweep_job(CLI::App& sweep, const Environment& environment,
                   Action& run);  // submit, commands and task
void add_sweep_design(CLI::App& sweep, const Environment& environment, Action& run);
void add_sweep_table(CLI::App& sweep, const Environment& environment, Action& run);  // status and export

// The instruction-set row of a sweep: what is forced or configured, else what the note of its store says that it
// began with. UsageError when these differ.
const kernels::KernelTable& choose_row(const sweep::Store* store, const sweep::SweepSpec& spec,
                                       const Environment& environment);
void require_row(const std::string& sweep, const std::string& begun, std::string_view row);
std::string row_note(const std::string& sweep);  // its key in the store

// "6h", "90m", "30s", "1.5h", or seconds: of --max-time. UsageError for others.
double parse_duration(const std::string& text);

std::string plan_text(const sweep::SweepSpec& spec, const sweep::Plan& plan);

}  // namespace loglog::cli
