// Learning-rate schedules over a run's own steps.
//
//   cosine    warm-up, then a half cosine down to min_lr
//   wsd       warm-up, stable, then linear to min_lr over the last decay_share of the steps (Hu et al. 2024), or over
//             all that the warm-up leaves where that is less
//   constant  warm-up, then lr
//   inverse-sqrt  warm-up of W steps, then lr sqrt(W / step), not below min_lr (Vaswani et al. 2017); without warm-up as if W were 1
//
// cosine and wsd are laid out for train.horizon steps where that is above 0: a run that ends earlier is one that is read off before its decay is
// done (what Hoffmann et al. 2022 found wrong with fixed horizons).
//
// Warm-up of W steps is linear: (step + 1) / (W + 1) of lr, so the first step already moves. A decay reaches
// min_lr at its own horizon, the step after the last.
#pragma once
#include "model/config.hpp"

namespace loglog::train {

using model::Index;
using model::OptimConfig;

Index warmup_steps(const OptimConfig& config);

// Of step number `step`, counted from 0; config is resolved.
double learning_rate(const OptimConfig& config, Index step);

}  // namespace loglog::train
