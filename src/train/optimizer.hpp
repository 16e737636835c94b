// Optimisers over the parameters of a model, with clipping by the global gradient norm.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint.hpp"
#include "model/gpt.hpp"

namespace loglog::train {

// Of all the gradients that `gpt` holds, before clipping.
double gradient_norm(kernels::ExecContext& ctx, const model::Gpt& gpt);

class Optimizer {
 public:
  explicit Optimizer(double clip) : clip_(clip) {}
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update with the gradients that `gpt`, the model that this was made for, holds; number is 1 for the first. Returns their global norm
  // before clipping. When the norm is not finite, nothing is changed.
  double step(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number);

  // All that it remembers from step to step, under names of its own.
  const std::vector<model::CheckpointTensor>& state() const { return state_; }

 protected:
  // A value per parameter value in `values`, which are laid out like Gpt::values().
  void remember(const std::string& prefix, const model::Gpt& gpt, std::span<float> values);
  std::vector<model::CheckpointTensor> state_;

  // Gradients are to be multiplied by `scale`.
  virtual void update(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number,
                      float scale) = 0;

 private:
  double clip_;  // largest global gradient norm; 0 means no clipping
};

// The one that train.optimizer names, for the parameters of `gpt`.
std::unique_ptr<Optimizer> make_optimizer(const model::OptimConfig& config, const model::Gpt& gpt);
// What it remembers, and what step() takes from ctx.scratch.
std::size_t optimizer_bytes(const model::OptimConfig& config, const model::ModelConfig& m);
std::size_t optimizer_scratch_bytes(const model::ModelConfig& m, const kernels::KernelTable& table,
                                    int threads);

struct AdamWHyper {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;  // applies where Decay::yes
  double clip = 1.0;
};

// Loshchilov & Hutter 2019, algorithm 2.
class AdamW final : public Optimizer {
 public:
  AdamW(const model::Gpt& gpt, const AdamWHyper& hyper);

  // First and second moments, laid out like Gpt::values().
  std::span<float> first_moments() const { return m_.used(); }
  std::span<float> second_moments() const { return v_.used(); }

 private:
  void update(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number,
              float scale) override;
  AdamWHyper hyper_;
  tensor::Arena m_;
  tensor::Arena v_;
};

// With momentum beta1, as PyTorch's SGD, but decay that is decoupled like AdamW's: lr weight_decay param.
class Sgd final : public Optimizer {
 public:
  Sgd(const model::Gpt& gpt, double momentum, double weight_decay, double clip);

 private:
  void update(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number,
              float scale) override;
  double momentum_, weight_decay_;
  tensor::Arena velocity_;
};

// Shazeer & Stern 2018, without first moment; beta2 of step t is 1 - t^-0.8.
class Adafactor final : public Optimizer {
 public:
  Adafactor(const model::Gpt& gpt, double weight_decay, double clip);

 private:
  void update(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number,
              float scale) override;
  double weight_decay_;
  tensor::Arena moments_;  // of each parameter its rows (of a matrix), then its columns
};

}  // namespace loglog::train
