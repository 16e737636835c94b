// Parts of the verb `sweep`.
#pragma once
#include <string>

#include "cli/verb.hpp"
#include "sweep/plan.hpp"

namespace loglog::cli {

void add_sweep_plan(CLI::App& sweep, const Environment& environment, Action& run);
void add_sweep_run(CLI::App& sweep, const Environment& environment, Action& run);     // and resume
void add_sweep_worker(CLI::App& sweep, const Environment& environment, Action& run);  // not for people
void add_sweep_table(CLI::App& sweep, const Environment& environment, Action& run);   // status and export

CLI::Validator number_between(double low, double high);  // NaN is not, which CLI::Range lets through

std::string duration_text(double seconds);  // "1 h 05 min", "3 min 20 s", "12 s"
std::string plan_text(const sweep::SweepSpec& spec, const sweep::Plan& plan);

}  // namespace loglog::cli
