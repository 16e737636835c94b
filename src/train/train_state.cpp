#include "train/train_state.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/rowwise/sums.hpp"
#include "train/schedule.hpp"

namespace loglog::train {
namespace {

AdamWHyper hyper_of(const model::OptimConfig& t) {
  return {.beta1 = t.beta1,
          .beta2 = t.beta2,
          .epsilon = t.epsilon,
          .weight_decay = t.weight_decay,
          .clip = t.clip};
}

}  // namespace

TrainState::TrainState(const RunConfig& config, const data::TokenFile& file,
                       const kernels::KernelTable& table, int threads)
    : config_(config),
      split_(data::make_split(file, config.data.split, config.data.val_share)),
      batcher_(file, split_.train, config.model.context, config.train.seed),
      sample_(file, split_.validation, config.model.context, static_cast<std::uint64_t>(config.eval.tokens)),
      gpt_(config.model, {config.train.micro_batch, config.model.context}),
      optimizer_(gpt_, hyper_of(config.train)),
      table_(table),
      threads_(threads),
      scratch_(std::max(gpt_.scratch_bytes(table, threads), AdamW::scratch_bytes(gpt_.values().size()))),
      inputs_(static_cast<std::size_t>(config.train.micro_batch * config.model.context)),
      targets_(inputs_.size()),
      losses_(inputs_.size()) {
  gpt_.initialise(config.train.seed);
}

std::optional<StepResult> TrainState::step(Index number, const std::function<bool(double)>& give_up) {
  const Index micro = config_.train.micro_batch;
  const auto targets = static_cast<double>(config_.train.batch * config_.model.context);
  const auto scale = static_cast<float>(1.0 / targets);
  kernels::ExecContext ctx = context();
  StepResult result;
  result.lr = learning_rate(config_.train, number);
  gpt_.zero_gradients();
  double sum = 0;
  for (Index done = 0; done < config_.train.batch; done += micro) {
    const double share = static_cast<double>(done) / static_cast<double>(config_.train.batch);
    if (done > 0 && give_up && give_up(share)) return std::nullopt;
    batcher_.fill(static_cast<std::uint64_t>(windows_after(number) + done), inputs_, targets_);
    gpt_.forward_backward(ctx, micro, inputs_.data(), targets_.data(), scale, losses_.data());
    for (const float loss : losses_) sum += loss;
  }
  result.loss = sum / targets;
  if (!std::isfinite(result.loss)) return result;
  result.gradient_norm = optimizer_.step(ctx, gpt_, result.lr, number + 1);
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
  const auto add = [&](std::string_view prefix, std::span<float> values) {
    for (const model::NamedParameter& p : gpt_.parameters()) {
      const auto offset = static_cast<std::size_t>(p.tensor.value - gpt_.values().data());
      all.push_back({std::string(prefix) + p.name, p.tensor.rows, p.tensor.cols,
                     values.subspan(offset, static_cast<std::size_t>(p.tensor.size()))});
    }
  };
  add("", gpt_.values());
  add("adamw.m.", optimizer_.first_moments());
  add("adamw.v.", optimizer_.second_moments());
  return all;
}

}  // namespace loglog::train
