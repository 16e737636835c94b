// What a sweep will cost, before anything starts.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sweep/grid.hpp"
#include "sweep/training.hpp"

namespace loglog::sweep {

struct PlanOptions {
  const kernels::KernelTable& kernels;
  int processors = 1;
  double available_bytes = free_memory_bytes();
  const Store* store = nullptr;  // knows calibrations, and which runs are finished
  std::function<void(const std::string& size)> on_calibration = [](const std::string&) {};
};

struct Plan {
  std::vector<Cell> cells;            // with expected seconds, memory and threads
  std::vector<std::string> left_out;  // points that the keep rule drops
  double train_tokens = 0;            // in the training part of the text
  std::size_t finished = 0;           // runs that the store has already
  double flops = 0;                   // of the others, as everything below
  double seconds = 0;                 // on the clock, on this machine when idle (schedule.hpp)
  double load = 0;  // the system's load average before anything was measured; NaN where it does not tell
  double memory_bytes = 0;                          // the most that workers take together
  std::string largest;                              // the run that takes most memory alone
  double largest_bytes = 0;                         // what it takes
  double disk_bytes = 0;                            // store and checkpoints, at the most
  std::map<std::string, std::string> calibrations;  // measured now, for Store::save_calibration
  std::vector<std::string> warnings;
};

// Expands the sweep and calibrates every size that the store does not know yet (a second or two each).
Plan make_plan(const SweepSpec& spec, const PlanOptions& options);

// RefusedError when the plan exceeds `max_flops` (0: no limit), the free bytes of the store's disk, or when
// one run alone, not yet finished, exceeds the available memory.
void require_affordable(const Plan& plan, double max_flops, double available_bytes, double free_disk_bytes);

}  // namespace loglog::sweep
