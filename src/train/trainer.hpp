// One training run: from a configuration to a record, checkpoints and a final loss.
//
// DIR/config.toml (resolved), DIR/record.jsonl and DIR/checkpoints/ are described in docs/formats.md. Same
// binary, ISA and seed give the same bits for any number of threads, and whether or not the run was stopped
// and resumed.
#pragma once
#include <functional>
#include <string>

#include "train/memory.hpp"
#include "train/progress.hpp"
#include "train/run_record.hpp"

namespace loglog::train {

struct TrainOptions {
  const kernels::KernelTable& kernels;
  int threads;  // at least 1
  Path out;
  bool resume = false;  // continue from the newest checkpoint, or start when there is none
  FileSystem& fs = real_file_system();
  std::string binary_hash = {};                           // of the program, for the record
  std::function<bool()> stop_requested = {};              // asked after every step
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
};

// What a run is called in a store: model::identity of the configuration resolved against this file.
std::string run_identity(const model::RunConfig& resolved, const data::TokenFile& file);

// UsageError when `out` already holds a run and resume is off, or holds another run; RefusedError when memory
// does not suffice; InputError for damaged data or checkpoints; IoError when the disk fails. A diverged run
// is a result.
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
