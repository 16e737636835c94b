#include "sweep/trunk.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"
#include "model/count.hpp"
#include "train/schedule.hpp"

namespace loglog::sweep {
namespace {

using model::Index;

// The last step whose rate is the highest one.
Index decay_start(const model::OptimConfig& t) {
  return static_cast<Index>(std::floor(static_cast<double>(t.steps) * (1 - t.decay_share)));
}

void make_fork(Cell& cell, const Cell& trunk) {
  model::RunConfig config = trunk.config;
  model::OptimConfig& t = config.train;
  const auto step_tokens = static_cast<double>(t.batch * config.model.context);
  t.steps = std::max<Index>(1, static_cast<Index>(std::round(cell.tokens / step_tokens)));
  t.keep_at.clear();
  config.fork = {trunk.spec.identity, decay_start(t), false};
  if (config.fork.step < train::warmup_steps(trunk.config.train))
    throw UsageError(fmt::format(
        "{} would begin to decay at step {}, within the {} steps of warm-up of its trunk {}", cell.spec.name,
        config.fork.step, train::warmup_steps(trunk.config.train), trunk.spec.name));
  RunSpec& run = cell.spec;
  run.d = static_cast<double>(t.steps) * step_tokens;
  run.c = run.d * model::count_flops_per_token(config.model).math;
  run.identity = model::identity(config, run.data_checksum);
  run.config = model::to_json(config);
  run.parent = trunk.spec.identity;
  run.fork_step = config.fork.step;
  cell.epochs = trunk.epochs * run.d / trunk.spec.d;
  cell.config = std::move(config);
}

}  // namespace

void share_trunks(std::vector<Cell>& cells) {
  std::map<std::string, Cell*> trunks;  // by family
  for (Cell& cell : cells) {
    if (cell.config.train.horizon > 0)
      throw UsageError(fmt::format(
          "share_trunks and train.horizon do not go together: {} would be read off before it decays",
          cell.spec.name));
    if (cell.config.train.schedule != "wsd")
      throw UsageError(
          fmt::format("share_trunks needs train.schedule = \"wsd\", whose rate stays constant before its "
                      "decay; {} has \"{}\"",
                      cell.spec.name, cell.config.train.schedule));
    Cell*& trunk = trunks[cell.family];
    if (trunk == nullptr || cell.spec.d > trunk->spec.d) trunk = &cell;
  }
  std::map<std::string, std::set<Index>> starts;
  for (Cell& cell : cells) {
    Cell& trunk = *trunks.at(cell.family);
    if (&cell == &trunk) continue;
    make_fork(cell, trunk);
    starts[cell.family].insert(cell.spec.fork_step);
  }
  for (const auto& [family, steps] : starts) {
    Cell& trunk = *trunks.at(family);
    trunk.config.train.keep_at = fmt::format("{}", fmt::join(steps, ","));
    trunk.spec.config = model::to_json(trunk.config);
  }
  std::stable_partition(cells.begin(), cells.end(),
                        [](const Cell& cell) { return cell.spec.parent.empty(); });
}

double own_flops(const Cell& cell) {
  return cell.spec.c *
         (1 - static_cast<double>(cell.spec.fork_step) / static_cast<double>(cell.config.train.steps));
}

}  // namespace loglog::sweep
