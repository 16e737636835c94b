// The working parts of one training run: data, model, optimiser and buffers, and what a single step does with them.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "data/batcher.hpp"
#include "eval/evaluate.hpp"
#include "model/checkpoint.hpp"
#include "model/gpt.hpp"
#include "train/optimizer.hpp"

namespace loglog::train {

using model::Index;
using model::RunConfig;

struct StepResult {
  // Mean over the batch's targets that count, nats per token, before the update; 0 where none does.
  double loss = 0;
  double gradient_norm = 0;  // before clipping; not finite when the update was left out
  Index batch = 0;           // sequences
  double targets = 0;        // that count
  // Of the gradient of the first micro-batch's own mean, and its targets; where there are several micro-batches.
  std::optional<double> small_norm;
  double small_targets = 0;
  double lr = 0;
  // Loss, gradient and the parameters afterwards. When it is loss or gradient that is not, the parameters are
  // as before.
  bool finite = false;
};

// The largest pass of a run, and what its model is built for.
model::BatchShape pass_shape(const RunConfig& config);
model::Purpose purpose(const RunConfig& config);
nn::Products products(const RunConfig& config);

class TrainState {
 public:
  // `file` outlives this object; `config` is resolved. Parameters are initialised from train.seed.
  TrainState(const RunConfig& config, const data::TokenFile& file, const kernels::KernelTable& table,
             int threads);

  // `number` of the step, counted from 0, which its learning rate, batch and dropout follow from; it trains on the windows from
  // `first_window` of the data's order on. Between two passes `give_up` is asked, with the share of the batch that is done.
  // Nothing when it says so: parameters and moments are as before.
  std::optional<StepResult> step(Index number, Index first_window,
                                 const std::function<bool(double)>& give_up = {});

  kernels::ExecContext context() { return {table_, threads_, scratch_, profile_}; }
  void measure(kernels::Profile* profile) { profile_ = profile; }  // from now on; null: no longer
  model::Gpt& gpt() { return gpt_; }
  const data::Batcher& batcher() const { return batcher_; }
  const data::FixedSample& sample() const { return sample_; }

  // Of step(), free between two of them.
  eval::PassBuffers buffers() { return {inputs_, targets_, losses_, documents_ ? &*documents_ : nullptr}; }

  // Parameters and what the optimiser remembers: all that a checkpoint holds of a model.
  std::vector<model::CheckpointTensor> tensors();
  // Takes them from the checkpoint of this step. Errors as CheckpointFolder::load.
  void load(const model::CheckpointFolder& folder, Index step);

 private:
  RunConfig config_;
  data::SplitRanges split_;
  data::Batcher batcher_;
  data::FixedSample sample_;
  model::Gpt gpt_;
  std::unique_ptr<Optimizer> optimizer_;
  const kernels::KernelTable& table_;
  int threads_;
  kernels::Scratch scratch_;
  kernels::Profile* profile_ = nullptr;
  std::vector<data::Token> inputs_;                 // (micro_batch, T)
  std::vector<data::Token> targets_;                // (micro_batch, T)
  std::vector<float> losses_;                       // (micro_batch, T)
  std::optional<eval::PackedDocuments> documents_;  // where they are kept apart
};

}  // namespace loglog::train
