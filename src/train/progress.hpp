// How far a run is, for whoever wants to show it.
#pragma once
#include "model/config.hpp"

namespace loglog::train {

struct Progress {
  model::Index step = 0;  // done
  model::Index steps = 0;
  double train_loss = 0;  // of the last step, nats per token
  double val_loss = 0;    // of the last evaluation; NaN before the first
  double lr = 0;
  double tokens_per_s = 0;
  double flops_per_s = 0;  // flops_mfu: attention counted full
  double seconds_left = 0;
  int threads = 0;  // that it trains with
};

}  // namespace loglog::train
