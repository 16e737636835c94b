// Maximal-update scaling: learning rates and initial values that stay good as the width grows (Yang & Hu 2021, "Tensor
// Programs IV"; Yang et al. 2022, "Tensor Programs V", table 8, for Adam). With m = width / base_width
//
//   parameter                            initial sd        learning rate
//   matrices of blocks                   as without it     1 / m          (fan-in and fan-out grow)
//   embeddings, the head's own matrix    times sqrt(m)     1              (at width base_width as without it, then constant)
//   gain and bias of the final norm      mean 1 / m        1 / m          (the factor 1 / m of the logits, written as a gain)
//   other gains and biases               as without it     1
//
// The factor in front of the logits and one in the norm before them are the same model, and under Adam the same updates
// where the norm's learning rate has it too. Scores stay divided by the root of the head size, not by the size: keep heads of
// one size and let their number grow, as the sizes of configs/sweeps do. Decay is decoupled from the factor: what a step
// takes from a weight is lr x weight_decay at every width.
#pragma once
#include <string_view>

#include "model/config.hpp"
#include "tensor/tensor.hpp"

namespace loglog::model {

struct ScaledParameter {
  tensor::Initial initial;
  float lr_scale;  // of the run's learning rate
};

// What becomes of a parameter of this name and initial value; unchanged where base_width is 0.
ScaledParameter scale_to_width(const ModelConfig& config, std::string_view name, tensor::Initial initial);

}  // namespace loglog::model
