// The working parts of one training run: data, model, optimiser and buffers, and what a single step does with them.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "data/batcher.hpp"
#include "model/checkpoint.hpp"
#include "model/gpt.hpp"
#include "train/evaluate.hpp"
#include "train/optimizer.hpp"

namespace loglog::train {

using model::Index;
using model::RunConfig;

struct StepResult {
  double loss = 0;           // mean over the batch, nats per token, before the update
  double gradient_norm = 0;  // before clipping; not finite when the update was left out
  double lr = 0;
  // Loss, gradient and the parameters afterwards. When it is loss or gradient that is not, the parameters are
  // as before.
  bool finite = false;
};

class TrainState {
 public:
  // `file` outlives this object; `config` is resolved. Parameters are initialised from train.seed.
  TrainState(const RunConfig& config, const data::TokenFile& file, const kernels::KernelTable& table,
             int threads);

  // `number` of the step, counted from 0; steps may run in any order of calls. Between two passes `give_up` is asked,
  // with the share of the batch that is done. Nothing when it says so: parameters and moments are as before.
  std::optional<StepResult> step(Index number, const std::function<bool(double)>& give_up = {});

  kernels::ExecContext context() { return {table_, threads_, scratch_}; }
  model::Gpt& gpt() { return gpt_; }
  const data::Batcher& batcher() const { return batcher_; }
  const data::FixedSample& sample() const { return sample_; }
  Index windows_after(Index steps) const { return steps * config_.train.batch; }

  PassBuffers buffers() { return {inputs_, targets_, losses_}; }  // of step(), free between two of them

  // Parameters and both moments: all that a checkpoint holds of a model.
  std::vector<model::CheckpointTensor> tensors();

 private:
  RunConfig config_;
  data::SplitRanges split_;
  data::Batcher batcher_;
  data::FixedSample sample_;
  model::Gpt gpt_;
  AdamW optimizer_;
  const kernels::KernelTable& table_;
  int threads_;
  kernels::Scratch scratch_;
  std::vector<data::Token> inputs_;   // (micro_batch, T)
  std::vector<data::Token> targets_;  // (micro_batch, T)
  std::vector<float> losses_;         // (micro_batch, T)
};

}  // namespace loglog::train
