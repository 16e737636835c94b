// Runs the workers of a sweep as processes of this machine.
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sweep/store.hpp"

namespace loglog::sweep {

struct SweepProgress {
  std::map<State, std::int64_t> counts;
  double seconds_left = 0;  // by the calibrated expectations and what was seen so far; 0 when unknown
  std::vector<std::string> running;  // "name step/steps"
};

struct LauncherOptions {
  std::string sweep;  // train the runs of this one alone; empty: all
  // A worker's command line up to its own options; " --threads T --cpus 0,1 [--sweep NAME] [--seconds S]" is
  // added.
  std::vector<std::string> command;
  std::vector<int> cpus;              // that workers may use
  double memory_bytes = 0;            // that all of them together may take; 0: not limited
  std::optional<double> max_seconds;  // then workers checkpoint and the sweep ends
  std::chrono::milliseconds beat_interval{5000};
  std::chrono::milliseconds poll_interval{200};
  std::function<bool()> stop_requested = [] { return false; };
  std::function<void(const SweepProgress&)> on_progress = [](const SweepProgress&) {};
};

enum class SweepEnd { finished, stopped };

// Until no run is ready or running, or until asked to stop. Runs that need more threads go first, then those
// that train side by side, each worker on processors of its own. Workers that die are replaced, their runs
// given to others. Error when workers cannot start at all.
SweepEnd launch(Store& store, const LauncherOptions& options);

void pin_to_cpus(const std::vector<int>& cpus);  // this process; without effect where the system cannot
void stop_with_parent(int parent);  // TERM for this process when `parent`, which started it, dies

}  // namespace loglog::sweep
