// How many sequences a step trains on: train.batch, or fewer at first where the batch ramps up.
//
// A ramp of R steps goes from first_batch to batch in whole micro-batches m:
//   batch(s) = first_batch + m floor(s / R * (batch - first_batch) / m)     s < R;    batch afterwards
// A small batch is enough while the gradient is large against its noise (McCandlish et al. 2018, section 2.4); GPT-3 and
// Megatron-Turing NLG (Smith et al. 2022, section 3.2) ramp linearly.
#pragma once
#include "model/config.hpp"

namespace loglog::model {

// Tokens that a run may have, so that sums of them are 64-bit counts too.
inline constexpr double kMostTokens = 1e18;
// Micro-batches that a ramp may add: counting windows goes through them.
inline constexpr Index kMostRises = 1'000'000;

// All of a resolved configuration. Steps count from 0.
Index batch_of_step(const OptimConfig& config, Index step);
// Sequences drawn by the steps before `step`; windows_before(config, config.steps) is what the run trains on.
Index windows_before(const OptimConfig& config, Index step);

// The fewest steps that train on at least `windows` sequences. train.steps need not be set, and a ramp given as a share of the
// steps follows.
Index steps_for(OptimConfig config, Index windows);

}  // namespace loglog::model
