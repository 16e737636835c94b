// One training run: from a configuration to a record, checkpoints and a final loss.
//
// DIR/config.toml (resolved), DIR/record.jsonl and DIR/checkpoints/ are described in docs/formats.md. Same
// binary, ISA and seed give the same bits for any number of threads, and whether or not the run was stopped
// and resumed, or forked from where its parent had trained as it would have.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "train/fork.hpp"
#include "train/memory.hpp"
#include "train/progress.hpp"
#include "train/run_events.hpp"

namespace loglog::train {

// What a run was planned as, by whoever keeps a table of runs.
struct ExpectedRun {
  std::string identity;
  std::string data_checksum;
};

// In a run folder: states that a spike goes back to.
inline constexpr const char* kRollbackFolder = "rollback";

struct TrainOptions {
  const kernels::KernelTable& kernels;
  int threads;  // at least 1
  Path out;
  // A new run may have fewer threads, where it trains faster then (fastest_threads.hpp); one that goes on has those that it began with.
  bool fewer_threads = false;
  bool resume = false;  // continue from the newest checkpoint, or start when there is none
  std::optional<ForkOrigin> fork =
      {};  // needed until the fork has its first checkpoint, which it gets at once
  std::optional<ExpectedRun> expected = {};  // refuse to train anything else
  // No other process may train in `out` meanwhile. Off where a store decides who may: there a run is taken over by
  // moving its folder away from a worker that sleeps, which still holds its lock.
  bool exclusive = true;
  FileSystem& fs = real_file_system();
  std::string binary_hash = {};               // of the program, for the record
  std::function<bool()> stop_requested = {};  // asked after every step and between its passes
  // What a step may still take, by its own pace, when a stop is asked for. One that would take longer is given up
  // between two passes; the checkpoint is then of the state before it, so that the run resumes to the same bits.
  double patience_seconds = 10;
  std::function<void(const Progress&)> on_progress = {};  // after every step and evaluation
  std::function<void(const RunMemory&, std::size_t)> on_plan =
      {};                                                // plan and available bytes, before memory is taken
  std::function<void(const std::string&)> on_note = {};  // what people should know of a run that is allowed
};

struct TrainResult {
  Status status;
  double val_loss;  // NaN unless done
  Json end_event;   // as in the record; for `checkpointed`, which writes none, what it would say now
  std::optional<model::Index> saved_step = {};  // of the newest checkpoint, if there is one
};

// What a run is called in a store: model::identity of the configuration resolved against this file.
std::string run_identity(const model::RunConfig& resolved, const data::TokenFile& file);

// UsageError when `out` already holds a run and resume is off, holds another run, or this run's checkpoint of
// another instruction-set row, and as require_fork(); a fork that ended before its first checkpoint may be begun again.
// Error with exit code 7 when another process trains there; RefusedError when memory does not suffice; InputError for
// damaged data or checkpoints, and for data that is not the expected; IoError when the disk fails, or when `out` is
// moved away meanwhile: it is made once, at the start. A diverged run is a result.
TrainResult train(const model::RunConfig& config, const TrainOptions& options);

}  // namespace loglog::train
