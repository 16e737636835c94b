#include "train/bench.hpp"

#include <chrono>
#include <vector>

#include "base/stats.hpp"
#include "kernels/profile.hpp"
#include "model/count.hpp"
#include "train/memory.hpp"
#include "train/train_state.hpp"

namespace loglog::train {

BenchResult bench_steps(const model::RunConfig& config, const data::TokenFile& file,
                        const kernels::KernelTable& table, int threads, model::Index steps) {
  using Clock = std::chrono::steady_clock;
  RunConfig full = config;
  full.train.first_batch = 0;
  model::resolve(full, static_cast<Index>(file.vocab_size()));
  full.train.steps = steps + kBenchWarmUp;
  require_memory(plan_memory(full, table, threads), available_memory());
  TrainState state(full, file, table, threads);
  kernels::Profile profile;
  std::vector<double> times;
  double total = 0;
  for (Index step = 0; step < full.train.steps; ++step) {
    if (step == kBenchWarmUp) state.measure(&profile);
    const auto begin = Clock::now();
    state.step(step, step * full.train.batch);
    const std::chrono::duration<double> time = Clock::now() - begin;
    if (step < kBenchWarmUp) continue;
    times.push_back(time.count());
    total += time.count();
  }
  BenchResult result;
  double rest = total;
  for (std::size_t family = 0; family < profile.seconds.size(); ++family) {
    result.seconds[kernels::kKernelFamilies[family]] = profile.seconds[family] / static_cast<double>(steps);
    rest -= profile.seconds[family];
  }
  result.seconds["rest"] = rest / static_cast<double>(steps);
  result.seconds_per_step = median(times);
  result.tokens_per_s = static_cast<double>(full.train.batch * full.model.context) / result.seconds_per_step;
  result.flops_per_s = result.tokens_per_s * model::count_flops_per_token(full.model).mfu;
  return result;
}

}  // namespace loglog::train
