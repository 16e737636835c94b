// One training run: from a configuration to a record, checkpoints and a final loss.
//
// DIR/config.toml (resolved), DIR/record.jsonl and DIR/checkpoints/ are described in docs/formats.md. Same
// binary, ISA and seed give the same bits for any number of threads, and whether or not the run was stopped
// and resumed.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "train/memory.hpp"
#include "train/progress.hpp"
#include "train/run_record.hpp"

namespace loglog::train {

// What a run was planned as, by whoever keeps a table of runs.
struct ExpectedRun {
  std::string identity;
  std::string data_checksum;
};

struct TrainOptions {
  const kernels::KernelTable& kernels;
  int threads;  // at least 1
  Path out;
  bool resume = false;  // continue from the newest checkpoint, or start when there is none
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

enum class Status { done, diverged, checkpointed };
std::string_view status_name(Status status);

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

struct BenchResult {
  double seconds_per_step = 0;  // median
  double tokens_per_s = 0;
  double flops_per_s = 0;  // flops_mfu
};

// Times `steps` steps, after two that are not counted. Writes nothing.
BenchResult bench_steps(const model::RunConfig& config, const kernels::KernelTable& table, int threads,
                        model::Index steps);

}  // namespace loglog::train
