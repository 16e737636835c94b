// AdamW over the parameters of a model, with clipping by the global gradient norm.
#pragma once
#include "model/gpt.hpp"

namespace loglog::train {

struct AdamWHyper {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;  // applies where Decay::yes
  double clip = 1.0;          // largest global gradient norm; 0 means no clipping
};

class AdamW {
 public:
  AdamW(const model::Gpt& gpt, const AdamWHyper& hyper);

  // One update with the gradients that `gpt` holds; number is 1 for the first. Returns their global norm
  // before clipping. When the norm is not finite, nothing is changed.
  double step(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number);

  // Bytes that step() takes from ctx.scratch for a model of so many values.
  static std::size_t scratch_bytes(std::size_t values);

  // First and second moments, laid out like Gpt::values().
  std::span<float> first_moments() const { return m_.used(); }
  std::span<float> second_moments() const { return v_.used(); }

 private:
  AdamWHyper hyper_;
  tensor::Arena m_;
  tensor::Arena v_;
};

}  // namespace loglog::train
