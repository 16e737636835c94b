#include "model/batch_size.hpp"

#include <algorithm>
#include <cmath>

namespace loglog::model {
namespace {

Index ramp_steps(const OptimConfig& config) {
  if (config.first_batch == 0) return 0;
  const double steps =
      config.batch_ramp < 1 ? config.batch_ramp * static_cast<double>(config.steps) : config.batch_ramp;
  return static_cast<Index>(std::round(steps));
}

// Micro-batches that the ramp adds.
Index rises(const OptimConfig& config) {
  return config.first_batch == 0 ? 0 : (config.batch - config.first_batch) / config.micro_batch;
}

}  // namespace

Index batch_of_step(const OptimConfig& config, Index step) {
  const Index ramp = ramp_steps(config);
  if (step >= ramp) return config.batch;
  return config.first_batch + config.micro_batch * (step * rises(config) / ramp);
}

Index windows_before(const OptimConfig& config, Index step) {
  const Index ramp = ramp_steps(config), count = rises(config);
  if (ramp == 0) return step * config.batch;
  // The k-th micro-batch more comes with the first step s for which s count / ramp >= k, the last one at the ramp's end.
  Index windows = step * config.first_batch;
  for (Index k = 1; k <= count; ++k)
    windows += config.micro_batch * std::max<Index>(0, step - kernels::ceil_div(k * ramp, count));
  return windows;
}

Index steps_for(OptimConfig config, Index windows) {
  Index low = 0,
        high = kernels::ceil_div(windows, config.first_batch > 0 ? config.first_batch : config.batch);
  while (low < high) {
    config.steps = low + (high - low) / 2;
    if (windows_before(config, config.steps) >= windows)
      high = config.steps;
    else
      low = config.steps + 1;
  }
  return low;
}

}  // namespace loglog::model
