// What is believed of losses before anything is trained: it says where the best sizes are looked for, nothing else.
#pragma once

namespace loglog::night {

// L = E + A / N^alpha + B / D^beta, nats per byte, as configs/sweeps/isoflop-text.toml found it on English (docs/results/isoflop-text).
double prior_loss(double N, double D);

}  // namespace loglog::night
