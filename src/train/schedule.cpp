#include "train/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.hpp"

namespace loglog::train {

Index warmup_steps(const OptimConfig& config) {
  const double steps = static_cast<double>(config.steps);
  return static_cast<Index>(config.warmup < 1 ? std::round(config.warmup * steps) : config.warmup);
}

double learning_rate(const OptimConfig& config, Index step) {
  LOGLOG_CHECK(step >= 0 && step < config.steps, "step {} of {}", step, config.steps);
  const Index warmup = warmup_steps(config);
  if (step < warmup) return config.lr * static_cast<double>(step + 1) / static_cast<double>(warmup + 1);
  const auto horizon = static_cast<double>(config.horizon > 0 ? config.horizon : config.steps);
  // Share of the decay that lies behind this step: 0 at its start, 1 at the horizon.
  const auto progress = [&](double start) {
    const double length = std::max(1.0, horizon - start);
    return std::clamp((static_cast<double>(step) - start) / length, 0.0, 1.0);
  };
  const double span = config.lr - config.min_lr;
  if (config.schedule == "cosine") {
    const double p = progress(static_cast<double>(warmup));
    return config.min_lr + span * 0.5 * (1.0 + std::cos(std::numbers::pi * p));
  }
  if (config.schedule == "wsd") {
    const double start = horizon * (1.0 - config.decay_share);
    return config.lr - span * progress(std::max(start, static_cast<double>(warmup)));
  }
  if (config.schedule == "inverse-sqrt") {
    const double first = std::max(1.0, static_cast<double>(warmup));
    return std::max(config.min_lr, config.lr * std::sqrt(first / std::max(first, static_cast<double>(step))));
  }
  LOGLOG_CHECK(config.schedule == "constant", "schedule is '{}'", config.schedule);
  return config.lr;
}

}  // namespace loglog::train
