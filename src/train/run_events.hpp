// The events of a run's record that say what the run is, and what came of it. docs/formats.md lists their fields.
#pragma once
#include <optional>
#include <string>

#include "data/token_file.hpp"
#include "eval/evaluate.hpp"
#include "model/checkpoint.hpp"
#include "train/run_record.hpp"
#include "train/train_state.hpp"

namespace loglog::train {

enum class Status { done, diverged, checkpointed };
std::string_view status_name(Status status);

// What does not change from the first step to the last.
struct RunFacts {
  const model::RunConfig& config;  // resolved
  const data::TokenFile& file;
  std::string identity;
  const kernels::KernelTable& kernels;
  int threads;
  std::string binary_hash;
  std::optional<double> bigram_entropy;  // of the validation sample; text alone has one
};

// Where a run stands: what its next checkpoint would say.
using RunPosition = model::CheckpointState;

Json config_event(const RunFacts& run, const TrainState& state);
Json eval_event(const RunFacts& run, const eval::Evaluation& evaluation);
// `evaluation` is the last one, where the run is done.
Json end_event(const RunFacts& run, const RunPosition& position, const TrainState& state, Status status,
               const std::optional<eval::Evaluation>& evaluation);

}  // namespace loglog::train
