// One training run: from a configuration to a record, checkpoints and a final loss.
//
// DIR/config.toml (resolved), DIR/record.jsonl and DIR/checkpoints/ are described in docs/formats.md. Same
// binary, ISA and seed give the same bits for any number of threads, and whether or not the run was stopped
// and resumed, or forked from where its parent had trained as it would have.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "model/checkpoint.hpp"
#include "model/open_model.hpp"
#include "train/memory.hpp"
#include "train/progress.hpp"
#include "train/run_events.hpp"

namespace loglog::train {

// What a run was planned as, by whoever keeps a table of runs.
struct ExpectedRun {
  std::string identity;
  std::string data_checksum;
};

// Where a run forks from. The configuration says so too (fork.*; see fork_config).
struct ForkOrigin {
  model::OpenedModel model;  // its configuration and parameters
  std::string identity;      // of the run; of a model folder a hash of its parameters
  std::optional<model::CheckpointState> state =
      {};                 // of a run; a model folder has none, and can only be begun anew from
  Path checkpoints = {};  // the folder that it lies in
};
// PATH is a run folder, whose newest checkpoint is meant, one checkpoint's manifest (DIR/checkpoints/step-S.json), or a model
// folder (`loglog import`). InputError when there is none.
ForkOrigin find_fork_origin(FileSystem& fs, const Path& path);
// The configuration of a fork: the parent's, with `restart` from its first step on. To be changed further by the user.
model::RunConfig fork_config(const ForkOrigin& origin, bool restart);

struct TrainOptions {
  const kernels::KernelTable& kernels;
  int threads;  // at least 1
  Path out;
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
      {};  // plan and available bytes, before memory is taken
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
// another instruction-set row; Error with exit code 7 when another process trains there; RefusedError when memory does not suffice; InputError for damaged data or
// checkpoints, and for data that is not the expected; IoError when the disk fails, or when `out` is moved away
// meanwhile: it is made once, at the start. A diverged run is a result.
TrainResult train(const model::RunConfig& config, const TrainOptions& options);

}  // namespace loglog::train
