// Connects the worker to the trainer, and the planner to the data and to measurements.
#pragma once
#include <map>
#include <string>

#include "data/token_file.hpp"
#include "sweep/grid.hpp"
#include "sweep/worker.hpp"

namespace loglog::kernels {
struct KernelTable;
}

namespace loglog::sweep {

inline constexpr std::size_t kMostTrainingLosses = 800;  // that a curve keeps

struct TrainingOptions {
  std::string isa;                          // instruction-set row; empty: the configuration's train.isa
  std::map<std::string, std::string> rows;  // that sweeps began with, by their names
  int threads = 1;
  Path data;                     // token file in place of the configuration's data.path; empty: that one
  std::string binary_hash = {};  // for the record
  std::map<std::string, std::string>
      registrations;  // of the predictions of sweeps, by their names: JSON that every run's end keeps
};

// Trains the configuration of a run with train::train, on the data that it was planned for. A run that goes on
// keeps its instruction-set row, a new one takes that of its sweep. The outcome's end event is the record's; its
// curve has all evaluations and at most kMostTrainingLosses training losses.
RunFunction trainer(const TrainingOptions& options);

// Facts for the expansion of a sweep, and what an evaluation costs.
struct SweepData {
  DataFacts facts;
  double validation_tokens;  // that one evaluation sees
  double open_seconds = 0;   // to open and to split it, which every run does for itself
};

// The text of a sweep. How much of it there is depends on how a configuration reads it (context, split, mixture, ...): each way is
// gone through once.
class DataReader {
 public:
  explicit DataReader(const model::RunConfig& base);  // InputError; UsageError where it names no token file
  const SweepData& operator()(const model::RunConfig& config);

 private:
  double seconds_ = 0;  // to open it
  data::TokenFile file_;
  std::map<std::string, SweepData> known_;
};

// Training tokens per second of one run, with all processors for itself and with one of its own while equal
// runs train on the others.
struct MeasuredRate {
  double alone = 0;
  double side_by_side = 0;
};
// Sequences per step of the steps that measure_rate times: a power of two, so that a batch rule gives few of them.
model::Index calibration_batch(const model::RunConfig& config);

// Times a few real steps of the configuration's size; a second or two for small models.
MeasuredRate measure_rate(const model::RunConfig& config, const kernels::KernelTable& kernels,
                          int processors);

// Free bytes where `file` lies or will lie.
double free_disk_bytes(const Path& file);
double free_memory_bytes();
double run_memory_bytes(const model::RunConfig& config, const kernels::KernelTable& kernels, int threads);

}  // namespace loglog::sweep
