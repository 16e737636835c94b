#include "sweep/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/processors.hpp"
#include "kernels/table.hpp"
#include "model/count.hpp"
#include "sweep/schedule.hpp"
#include "sweep/trunk.hpp"

namespace loglog::sweep {
namespace {

// Seconds of a run beside its passes and its data: its folder, its record, the first and the last checkpoint.
constexpr double kRunSeconds = 0.05;

// An evaluation is a forward pass, a training step three.
constexpr double kForwardShare = 1.0 / 3.0;

double evaluations(const Cell& cell) {
  const model::Index every = cell.config.eval.every;
  return static_cast<double>(1 + (every > 0 ? (cell.config.train.steps - 1) / every : 0));
}

double staying_checkpoints(const Cell& cell) {
  const model::Index every = cell.config.train.keep_every,
                     count = every > 0 ? cell.config.train.steps / every : 0;
  return static_cast<double>(count) +
         static_cast<double>(model::steps_kept(cell.config.train.keep_at).size());
}

// A run in the store: configuration and result, and the points of its curve.
double row_bytes(const Cell& cell) {
  constexpr double kTexts = 4096, kPoint = 40;
  return kTexts + kPoint * (static_cast<double>(kMostTrainingLosses) + evaluations(cell));
}

std::string calibration_key(const model::RunConfig& config, const PlanOptions& options) {
  const model::ModelConfig& m = config.model;
  std::string key =
      fmt::format("L{} C{} H{} T{} V{} B{} {} processors:{}", m.layers, m.width, m.heads, m.context, m.vocab,
                  calibration_batch(config), options.kernels.float32, options.processors);
  // What else a step's time depends on, where it is not as in the first sweeps.
  const std::vector<std::string> usual = model::value_texts(model::RunConfig());
  std::size_t i = 0;
  model::visit(config, [&](const model::ConfigKey& k, const auto& member) {
    const std::string value = fmt::format("{}", member);
    constexpr std::string_view kOthers[] = {"train.precision", "train.optimizer", "train.recompute",
                                            "train.dropout", "data.documents"};
    const bool matters = (k.came_later && k.name.starts_with("model.")) ||
                         std::find(std::begin(kOthers), std::end(kOthers), k.name) != std::end(kOthers);
    if (matters && value != usual[i]) key += fmt::format(" {}={}", k.name, value);
    ++i;
  });
  return key;
}

MeasuredRate read_rate(const std::string& text) {
  MeasuredRate rate;
  if (std::sscanf(text.c_str(), "%lf %lf", &rate.alone, &rate.side_by_side) != 2) return {};
  return rate;
}

// Measures every size and batch once, and not at all when the store knows it.
class Rates {
 public:
  Rates(const PlanOptions& options, std::map<std::string, std::string>& measured)
      : options_(options), measured_(measured) {}

  const MeasuredRate& operator()(const Cell& cell) {
    const std::string key = calibration_key(cell.config, options_);
    const auto [entry, is_new] = known_.try_emplace(key);
    if (is_new) entry->second = look_up_or_measure(key, cell);
    return entry->second;
  }

 private:
  MeasuredRate look_up_or_measure(const std::string& key, const Cell& cell) {
    if (options_.store != nullptr) {
      if (const auto known = options_.store->calibration(key)) return read_rate(*known);
    }
    options_.on_calibration(cell.spec.size);
    const MeasuredRate rate = measure_rate(cell.config, options_.kernels, options_.processors);
    measured_[key] = fmt::format("{} {}", rate.alone, rate.side_by_side);
    return rate;
  }

  const PlanOptions& options_;
  std::map<std::string, std::string>& measured_;
  std::map<std::string, MeasuredRate> known_;
};

// Side by side, as far as there are others, unless one run after the other is faster with all processors, or memory is short.
void expect(Cell& cell, const MeasuredRate& rate, const SweepData& data, const PlanOptions& options,
            std::size_t unfinished) {
  RunSpec& run = cell.spec;
  const double narrow_bytes = run_memory_bytes(cell.config, options.kernels, 1);
  const auto together = std::min(static_cast<double>(unfinished), static_cast<double>(options.processors));
  const bool narrow = options.processors == 1 || (rate.side_by_side * together >= rate.alone &&
                                                  narrow_bytes * together <= options.available_bytes);
  const double trained = run.d * own_flops(cell) / run.c;  // without what its trunk has behind it
  const double passes = trained + kForwardShare * evaluations(cell) * data.validation_tokens;
  run.threads = narrow ? 1 : options.processors;
  run.seconds = passes / (narrow ? rate.side_by_side : rate.alone) + data.open_seconds + kRunSeconds;
  run.memory_bytes =
      narrow ? narrow_bytes : run_memory_bytes(cell.config, options.kernels, options.processors);
}

std::set<std::string> finished_runs(const Store* store) {
  std::set<std::string> finished;
  if (store == nullptr) return finished;
  for (const RunRow& run : store->runs())
    if (run.state == State::done || run.state == State::diverged) finished.insert(run.spec.identity);
  return finished;
}

void warn_of_repeated_data(const std::vector<Cell>& cells, std::vector<std::string>& warnings) {
  const auto worst = std::max_element(cells.begin(), cells.end(),
                                      [](const Cell& a, const Cell& b) { return a.epochs < b.epochs; });
  const auto count = std::count_if(cells.begin(), cells.end(), [](const Cell& c) { return c.epochs > 1; });
  if (count == 0) return;
  warnings.push_back(
      fmt::format("{} of {} runs see their data more than once (most: {}, {:.2f} epochs); laws of "
                  "single-epoch training do not hold for them",
                  count, cells.size(), worst->spec.name, worst->epochs));
}

// Whole steps of a batch too large for its tokens miss them, and an IsoFLOP budget with them.
void warn_of_missed_tokens(const std::vector<Cell>& cells, std::vector<std::string>& warnings) {
  constexpr double kTolerance = 0.05;
  const auto missed = [](const Cell& cell) { return std::abs(cell.spec.d / cell.tokens - 1); };
  const auto worst = std::max_element(cells.begin(), cells.end(),
                                      [&](const Cell& a, const Cell& b) { return missed(a) < missed(b); });
  const auto count =
      std::count_if(cells.begin(), cells.end(), [&](const Cell& c) { return missed(c) > kTolerance; });
  if (count == 0) return;
  warnings.push_back(fmt::format(
      "{} of {} runs are not as long as asked, for their batch is too large (most: {}, {} steps of {} tokens "
      "for {:.3g} tokens)",
      count, cells.size(), worst->spec.name, worst->config.train.steps,
      worst->config.train.batch * worst->config.model.context, worst->tokens));
}

}  // namespace

Plan make_plan(const SweepSpec& spec, const PlanOptions& options) {
  DataReader data(spec.base);
  Plan plan;
  plan.load = load_average();
  Grid grid = expand(spec, [&](const model::RunConfig& config) { return data(config).facts; });
  plan.cells = std::move(grid.cells);
  plan.left_out = std::move(grid.left_out);
  plan.train_tokens = data(spec.base).facts.train_tokens;
  const std::set<std::string> finished = finished_runs(options.store);
  const auto is_finished = [&](const Cell& cell) { return finished.count(cell.spec.identity) > 0; };
  const auto unfinished =
      plan.cells.size() - static_cast<std::size_t>(std::ranges::count_if(plan.cells, is_finished));
  Rates rates(options, plan.calibrations);
  std::vector<RunSpec> to_train;
  double checkpoint_bytes = 0;
  for (Cell& cell : plan.cells) {
    expect(cell, rates(cell), data(cell.config), options, unfinished);
    const RunSpec& run = cell.spec;
    if (is_finished(cell)) {
      ++plan.finished;
      continue;
    }
    plan.flops += own_flops(cell);
    plan.disk_bytes += row_bytes(cell);
    if (run.memory_bytes > plan.largest_bytes) plan.largest_bytes = run.memory_bytes, plan.largest = run.name;
    to_train.push_back(run);
    const int together = options.processors / run.threads;
    plan.memory_bytes = std::max(plan.memory_bytes, run.memory_bytes * together);
    // Values and two moments; the old checkpoint stays until the new one is complete.
    const double state_bytes = 3 * sizeof(float) * model::count_parameters(cell.config.model).n_total;
    checkpoint_bytes = std::max(checkpoint_bytes, (2 + staying_checkpoints(cell)) * state_bytes * together);
  }
  plan.seconds = makespan(to_train, options.processors);
  plan.disk_bytes += checkpoint_bytes;
  warn_of_repeated_data(plan.cells, plan.warnings);
  warn_of_missed_tokens(plan.cells, plan.warnings);
  return plan;
}

void require_affordable(const Plan& plan, double max_flops, double available, double free_disk) {
  if (max_flops > 0 && plan.flops > max_flops) {
    throw RefusedError(
        fmt::format("the sweep takes {:.3g} FLOPs, --max-flops allows {:.3g}; drop sizes, budgets or "
                    "seeds, or raise the limit",
                    plan.flops, max_flops));
  }
  if (plan.disk_bytes > free_disk) {
    throw RefusedError(
        fmt::format("the store and its checkpoints take up to {:.1f} MB, {:.1f} MB are free there",
                    plan.disk_bytes / 1e6, free_disk / 1e6));
  }
  if (plan.largest_bytes > available) {
    throw RefusedError(
        fmt::format("run '{}' takes {:.0f} MiB of memory, {:.0f} MiB are free; a smaller "
                    "train.micro_batch takes less",
                    plan.largest, plan.largest_bytes / (1 << 20), available / (1 << 20)));
  }
}

}  // namespace loglog::sweep
