#include "train/train_state.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/rowwise/sums.hpp"
#include "model/batch_size.hpp"
#include "train/schedule.hpp"

namespace loglog::train {

static_assert(data::kIgnoredTarget == kernels::kIgnoreTarget);

model::BatchShape pass_shape(const RunConfig& config) {
  return {config.train.micro_batch, config.model.context, config.data.documents == "mask"};
}

model::Purpose purpose(const RunConfig& config) {
  return config.train.recompute == "blocks" ? model::Purpose::recomputing : model::Purpose::training;
}

nn::Products products(const RunConfig& config) {
  return {model::product_type(config.train),
          config.train.pack_weights ? nn::PackedForms::both : nn::PackedForms::none};
}

TrainState::TrainState(const RunConfig& config, const data::TokenFile& file,
                       const kernels::KernelTable& table, int threads)
    : config_(config),
      split_(data::make_split(file, config.data.split, config.data.val_share)),
      batcher_(file, split_.train, config.model.context, config.train.seed, config.data.mixture,
               data::documents_rule(config.data.documents), config.model.mutual_prefix()),
      sample_(file, split_.validation, config.model.context, static_cast<std::uint64_t>(config.eval.tokens),
              data::documents_rule(config.data.documents), config.model.mutual_prefix()),
      gpt_(config.model, pass_shape(config), products(config), purpose(config)),
      optimizer_(make_optimizer(config.train, gpt_)),
      table_(table),
      threads_(threads),
      scratch_(std::max(gpt_.scratch_bytes(table, threads),
                        optimizer_scratch_bytes(config.model, table, threads))),
      inputs_(static_cast<std::size_t>(config.train.micro_batch * config.model.context)),
      targets_(inputs_.size()),
      losses_(inputs_.size()) {
  if (pass_shape(config).documents)
    documents_.emplace(*file.document_end(), config.model.context, config.train.micro_batch);
  gpt_.initialise(config.train.seed);
}

std::optional<StepResult> TrainState::step(Index number, Index first_window,
                                           const std::function<bool(double)>& give_up) {
  const Index micro = config_.train.micro_batch, batch = model::batch_of_step(config_.train, number);
  // Known before the first pass, whose gradients already have this scale.
  const auto counted = [&](Index windows) {
    const std::uint64_t targets =
        batcher_.counted(static_cast<std::uint64_t>(first_window), static_cast<std::uint64_t>(windows));
    return static_cast<double>(std::max<std::uint64_t>(1, targets));
  };
  const double targets = counted(batch);
  const auto scale = static_cast<float>(1.0 / targets);
  kernels::ExecContext ctx = context();
  StepResult result;
  result.batch = batch;
  result.targets = targets;
  result.lr = learning_rate(config_.train, number);
  gpt_.zero_gradients(ctx);
  double sum = 0;
  for (Index done = 0; done < batch; done += micro) {
    const double share = static_cast<double>(done) / static_cast<double>(batch);
    if (done > 0 && give_up && give_up(share)) return std::nullopt;
    batcher_.fill(static_cast<std::uint64_t>(first_window + done), inputs_, targets_);
    model::TrainingPass pass;
    pass.dropout = {static_cast<float>(config_.train.dropout), config_.train.seed,
                    static_cast<std::uint64_t>(number), done * config_.model.context};
    if (documents_) pass.documents = documents_->find(inputs_);
    pass.z_weight = static_cast<float>(config_.train.z_loss);
    gpt_.forward_backward(ctx, micro, inputs_.data(), targets_.data(), scale, losses_.data(), pass);
    for (const float loss : losses_) sum += loss;
    if (done == 0 && micro < batch) {
      result.small_targets = counted(micro);
      result.small_norm = gradient_norm(ctx, gpt_) * targets / result.small_targets;
    }
  }
  result.loss = sum / targets;
  if (!std::isfinite(result.loss)) return result;
  result.gradient_norm = optimizer_->step(ctx, gpt_, result.lr, number + 1);
  if (!std::isfinite(result.gradient_norm)) return result;
  // An update can overflow a parameter that this loss does not read. No checkpoint may hold that; asked after every
  // step, the answer does not depend on when checkpoints are made. Squares of floats do not overflow a double.
  const std::span<float> values = gpt_.values();
  result.finite =
      std::isfinite(kernels::sum_of_squares(ctx, values.data(), static_cast<Index>(values.size())));
  return result;
}

std::vector<model::CheckpointTensor> TrainState::tensors() {
  std::vector<model::CheckpointTensor> all;
  for (const model::NamedParameter& p : gpt_.parameters())
    all.push_back(
        {p.name, p.tensor.rows, p.tensor.cols, {p.tensor.value, static_cast<std::size_t>(p.tensor.size())}});
  const std::vector<model::CheckpointTensor>& remembered = optimizer_->state();
  all.insert(all.end(), remembered.begin(), remembered.end());
  return all;
}

void TrainState::load(const model::CheckpointFolder& folder, Index step) {
  folder.load(step, tensors());
  gpt_.values_changed();
}

}  // namespace loglog::train
