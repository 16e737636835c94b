#include "train/tune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <type_traits>

#include "base/error.hpp"
#include "model/batch_size.hpp"

namespace loglog::train {
namespace {

using Points = std::vector<TunePoint>;

constexpr std::string_view kTunable[] = {"train.lr",     "train.batch",   "train.weight_decay",
                                         "train.clip",   "train.epsilon", "train.dropout",
                                         "train.z_loss", "model.init_sd"};

// The key that is searched: its value in the configuration, and which others it may have.
struct Axis {
  double start = 0, low = 0, high = 0;
  bool whole = false;

  double at(double factor, int power) const {
    const double value = std::clamp(start * std::pow(factor, power), low, high);
    return whole ? std::round(value) : std::stod(fmt::format("{:.3e}", value));
  }
  std::string text(double value) const {
    return whole ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
  }
};

Axis axis_of(const model::RunConfig& config, const std::string& name) {
  Axis axis;
  model::visit(config, [&](const model::ConfigKey& key, const auto& member) {
    using Member = std::remove_cvref_t<decltype(member)>;
    if constexpr (std::is_arithmetic_v<Member>)
      if (key.name == name)
        axis = {static_cast<double>(member), key.low, key.high, std::is_integral_v<Member>};
  });
  if (axis.start > 0) return axis;
  throw UsageError(fmt::format("--key {}: it is 0 in the configuration, and a search begins above", name));
}

void require_ranges(const TuneOptions& t) {
  if (std::find(std::begin(kTunable), std::end(kTunable), t.key) == std::end(kTunable))
    throw_unknown_name("key to tune", t.key, kTunable);
  if (!(t.factor > 1)) throw UsageError(fmt::format("--factor is {}, must be above 1", t.factor));
  if (!(t.share > 0 && t.share <= 1))
    throw UsageError(fmt::format("--share is {}, must be above 0 and at most 1", t.share));
  if (t.points < 3) throw UsageError(fmt::format("--points is {}, must be at least 3", t.points));
}

void require_neighbours(const Axis& axis, const TuneOptions& t) {
  const double middle = axis.at(t.factor, 0);
  const bool is_up = axis.at(t.factor, 1) > middle || middle >= axis.high;
  const bool is_down = axis.at(t.factor, -1) < middle || middle <= axis.low;
  if (is_up && is_down) return;
  throw UsageError(fmt::format("--factor {}: too near to 1, the neighbour of {} is {} again", t.factor,
                               axis.text(middle), axis.text(middle)));
}

void require_free_batch(const model::RunConfig& config, const TuneOptions& t) {
  if (t.key == "train.batch" && config.train.first_batch > 0)
    throw UsageError("--key train.batch: the batch of this configuration ramps up (train.first_batch)");
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

Tuned conclude(Points points, bool whole) {
  const auto best = best_of(points);
  const bool at_end = best == points.begin() || best + 1 == points.end();
  if (!std::isfinite(best->loss)) return {std::move(points), std::nullopt, true};
  const bool bracketed = !at_end && std::isfinite(best[-1].loss) && std::isfinite(best[1].loss);
  const double value = bracketed ? std::exp(vertex(&best[-1])) : best->value;
  return {std::move(points), whole ? std::round(value) : value, at_end};
}

class Search {
 public:
  Search(const model::RunConfig& resolved, const TuneOptions& tune, const TrainOptions& options)
      : config_(resolved), tune_(tune), options_(options), axis_(axis_of(resolved, tune.key)) {
    require_neighbours(axis_, tune);
    require_free_batch(resolved, tune);
  }

  std::optional<Tuned> run() {
    add(0);
    add(--low_);
    add(++high_);
    for (bool grows = true; grows && static_cast<int>(points_.size()) < tune_.points;) {
      const auto best = best_of(points_);
      const bool is_lowest = best == points_.begin(), is_highest = best + 1 == points_.end();
      grows = is_lowest ? add(--low_) : is_highest && add(++high_);
    }
    if (stopped_) return std::nullopt;
    return conclude(std::move(points_), axis_.whole);
  }

 private:
  // Trains the run of this power of the factor, and puts it where its value belongs. False when there is none, or it was stopped.
  bool add(int power) {
    const double value = axis_.at(tune_.factor, power);
    const bool is_known =
        std::any_of(points_.begin(), points_.end(), [&](const TunePoint& p) { return p.value == value; });
    if (stopped_ || is_known) return false;
    TrainOptions run = options_;
    run.out = options_.out / fmt::format("{}={}", tune_.key, axis_.text(value));
    run.resume = true;
    const TrainResult result = train(tuning_run(config_, tune_, value), run);
    stopped_ = result.status == Status::checkpointed;
    const double loss =
        result.status == Status::done ? result.val_loss : std::numeric_limits<double>::infinity();
    points_.insert(power < 0 ? points_.begin() : points_.end(), {value, loss, run.out});
    return !stopped_;
  }

  const model::RunConfig& config_;
  const TuneOptions& tune_;
  const TrainOptions& options_;
  Axis axis_;
  Points points_;  // by value
  int low_ = 0, high_ = 0;
  bool stopped_ = false;
};

}  // namespace

std::span<const std::string_view> tunable_keys() {
  return kTunable;
}

model::RunConfig tuning_run(const model::RunConfig& resolved, const TuneOptions& tune, double value) {
  model::RunConfig run = resolved;
  model::OptimConfig& t = run.train;
  const Index tokens = model::windows_before(t, t.steps) * run.model.context;
  model::apply_set(run, fmt::format("{}={}", tune.key, value));
  t.tokens = std::max<Index>(1, static_cast<Index>(std::round(tune.share * static_cast<double>(tokens))));
  if (tune.key == "train.lr") t.min_lr = resolved.train.min_lr * value / resolved.train.lr;
  double share = tune.share;  // of the steps
  if (tune.key == "train.batch") {
    t.micro_batch = 0;
    share *= static_cast<double>(resolved.train.batch) / value;
  }
  if (t.warmup >= 1) t.warmup = std::max(1.0, std::round(t.warmup * share));
  return run;
}

std::optional<Tuned> tune(const model::RunConfig& config, const TuneOptions& tune,
                          const TrainOptions& options) {
  require_ranges(tune);
  // Whatever follows from the size of the model or from the data is decided once, for all runs.
  model::RunConfig resolved = config;
  model::resolve(resolved, static_cast<Index>(data::TokenFile::open(config.data.path).vocab_size()));
  return Search(resolved, tune, options).run();
}

}  // namespace loglog::train
