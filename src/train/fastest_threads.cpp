#include "train/fastest_threads.hpp"

#include "data/token_file.hpp"
#include "train/bench.hpp"

namespace loglog::train {

int fastest_threads(const model::RunConfig& config, const kernels::KernelTable& table, int most) {
  constexpr model::Index kSteps = 3;            // that are timed, behind two that are not
  constexpr model::Index kShortest = 100 * 10;  // steps of a run of which two measurements are a hundredth
  const data::TokenFile file = data::TokenFile::open(config.data.path);
  model::RunConfig full = config;
  model::resolve(full, static_cast<model::Index>(file.vocab_size()));
  if (full.train.steps < kShortest) return most;
  int best = most;
  double rate = 0;
  for (int threads = most; most > 1 && threads >= 1; threads /= 2) {
    const double tokens_per_s = bench_steps(config, table, threads, kSteps).tokens_per_s;
    if (tokens_per_s <= rate) break;
    rate = tokens_per_s;
    best = threads;
  }
  return best;
}

}  // namespace loglog::train
