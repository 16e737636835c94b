#include "train/tune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/error.hpp"

namespace loglog::train {
namespace {

using Points = std::vector<TunePoint>;

double number_of(const model::RunConfig& config, const std::string& name) {
  double value = 0;
  model::visit(config, [&](const model::ConfigKey& key, const auto& member) {
    if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(member)>>)
      if (key.name == name) value = static_cast<double>(member);
  });
  if (value > 0) return value;
  throw UsageError(fmt::format("--key {}: only a number above 0 can be tuned", name));
}

void require_ranges(const TuneOptions& t) {
  if (!(t.factor > 1)) throw UsageError(fmt::format("--factor is {}, must be above 1", t.factor));
  if (!(t.share > 0 && t.share <= 1))
    throw UsageError(fmt::format("--share is {}, must be above 0 and at most 1", t.share));
  if (t.points < 3) throw UsageError(fmt::format("--points is {}, must be at least 3", t.points));
}

Points::const_iterator best_of(const Points& points) {
  return std::min_element(points.begin(), points.end(),
                          [](const TunePoint& a, const TunePoint& b) { return a.loss < b.loss; });
}

// log(value) where the parabola through three points has its minimum. The middle one is the lowest, so it lies between the others.
double vertex(const TunePoint* p) {
  const double x0 = std::log(p[0].value), x1 = std::log(p[1].value), x2 = std::log(p[2].value);
  const double left = (x1 - x0) * (p[1].loss - p[2].loss), right = (x1 - x2) * (p[1].loss - p[0].loss);
  if (left == right) return x1;  // all three are equal
  return x1 - 0.5 * ((x1 - x0) * left - (x1 - x2) * right) / (left - right);
}

Tuned conclude(Points points) {
  const auto best = best_of(points);
  const bool at_end = best == points.begin() || best + 1 == points.end();
  const bool bracketed = !at_end && std::isfinite(best[-1].loss) && std::isfinite(best[1].loss);
  const double value = bracketed ? std::exp(vertex(&best[-1])) : best->value;
  return {std::move(points), value, at_end};
}

}  // namespace

model::RunConfig tuning_run(const model::RunConfig& config, const TuneOptions& tune, double value) {
  model::RunConfig run = config;
  model::OptimConfig& t = run.train;
  const Index tokens = t.tokens > 0 ? t.tokens : t.steps * t.batch * run.model.context;
  model::apply_set(run, fmt::format("{}={}", tune.key, value));
  t.tokens = std::max<Index>(1, static_cast<Index>(std::round(tune.share * static_cast<double>(tokens))));
  if (tune.key == "train.lr") t.min_lr = config.train.min_lr * value / config.train.lr;
  if (t.warmup >= 1) t.warmup = std::max(1.0, std::round(t.warmup * tune.share));
  return run;
}

std::optional<Tuned> tune(const model::RunConfig& config, const TuneOptions& tune,
                          const TrainOptions& options) {
  require_ranges(tune);
  const double start = number_of(config, tune.key);
  Points points;
  bool stopped = false;
  // Puts the point where its value belongs.
  const auto try_power = [&](int power) {
    const double value = start * std::pow(tune.factor, power);
    TrainOptions run = options;
    run.out = options.out / fmt::format("{}={:.4g}", tune.key, value);
    run.resume = true;
    const TrainResult result = train(tuning_run(config, tune, value), run);
    stopped = result.status == Status::checkpointed;
    const double loss =
        result.status == Status::done ? result.val_loss : std::numeric_limits<double>::infinity();
    points.insert(power < 0 ? points.begin() : points.end(), {value, loss, run.out});
  };
  int low = 0, high = 0;
  try_power(0);
  while (!stopped && static_cast<int>(points.size()) < tune.points) {
    const auto best = best_of(points);
    if (best == points.begin())
      try_power(--low);
    else if (best + 1 == points.end())
      try_power(++high);
    else
      break;
    if (high == 0 && !stopped) try_power(++high);
  }
  if (stopped) return std::nullopt;
  return conclude(std::move(points));
}

}  // namespace loglog::train
