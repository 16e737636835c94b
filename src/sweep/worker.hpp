// A worker leases runs from a queue and trains them one after another.
#pragma once
#include <chrono>
#include <functional>
#include <optional>

#include "sweep/run_queue.hpp"

namespace loglog::sweep {

// How a running training talks to its worker. Both may be called from the training thread at any step.
struct RunControl {
  std::function<bool()> stop_requested;  // true: checkpoint and return
  std::function<void(std::int64_t step)> on_step;
};

// Trains one run in `folder`, continuing from a checkpoint that lies there. Returns its outcome, or nothing
// when it stopped early and left a checkpoint. An Error has a cause outside the run (its data, the disk, free
// memory): the run goes back into the queue and the worker ends with it. Other exceptions make a failed run.
using RunFunction =
    std::function<std::optional<Outcome>(const RunSpec& spec, const Path& folder, const RunControl& control)>;

struct WorkerOptions {
  std::string sweep;  // of a store, lease only runs of this one; empty: any
  int threads = 0;    // of a store, lease only runs planned for so many threads; 0: any
  std::chrono::milliseconds beat_interval{5000};
  std::optional<std::chrono::steady_clock::time_point> deadline;  // stop starting, checkpoint what runs
  std::function<bool()> stop_requested = [] { return false; };    // a signal came
  bool keep_folders = false;  // with checkpoint and record of finished runs
};

struct WorkerResult {
  int committed = 0;
  int failed = 0;        // of these
  bool stopped = false;  // by request or deadline, with runs left
};

// Until nothing is ready.
WorkerResult work(RunQueue& queue, const WorkerOptions& options, const RunFunction& run);
WorkerResult work(const Path& store, const WorkerOptions& options, const RunFunction& run);

}  // namespace loglog::sweep
