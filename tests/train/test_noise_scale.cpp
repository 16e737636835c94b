#include "train/noise_scale.hpp"

#include <cmath>
#include <vector>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "kernels/isa.hpp"
#include "kernels/table.hpp"
#include "small_runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "train/train_state.hpp"

using namespace loglog;
using namespace loglog::train;

TEST_CASE("of gradients with known noise, the scale is the known one") {
  // G of 40 ones; a batch of B tokens adds independent normal noise of variance 9 / B: S = 360, |G|^2 = 40.
  constexpr int kSize = 40, kSmall = 4, kBig = 32, kSteps = 4000;
  const Rng rng(1, 2);
  NoiseScale scale;
  REQUIRE_FALSE(scale.tokens());
  std::uint64_t draw = 0;
  double mean_ratio = 0;
  for (int step = 0; step < kSteps; ++step) {
    double small = 0, big = 0;
    for (int i = 0; i < kSize; ++i) {
      double sum = 0, first = 0;
      for (int part = 0; part < kBig / kSmall; ++part) {  // the small batch is the first part of the big one
        const double noise = 3 * rng.normal(draw++) / std::sqrt(kSmall);
        if (part == 0) first = 1 + noise;
        sum += 1 + noise;
      }
      small += first * first;
      big += std::pow(sum / (kBig / kSmall), 2);
    }
    scale.add(std::sqrt(small), kSmall, std::sqrt(big), kBig);
    if (step >= kSteps / 2) mean_ratio += *scale.tokens() / (kSteps - kSteps / 2);
  }
  // An average over a hundred steps of estimates, each with about 30% of noise; their mean over two thousand steps has 1%.
  REQUIRE(mean_ratio == Approx(9).epsilon(0.05));
}

TEST_CASE("a gradient that is noise alone has no scale") {
  NoiseScale scale;
  scale.add(2, 1, 1, 4);  // (4 - 4) / 3: exactly what noise alone gives
  REQUIRE_FALSE(scale.tokens());
  REQUIRE_THROWS_AS(scale.add(1, 4, 1, 4), ContractError);
}

TEST_CASE("a step reports the norm of its first micro-batch as if that were the batch") {
  TemporaryFolder folder;
  write_small_tokens(folder.path() / "t.tok");
  model::RunConfig config = small_run(folder.path() / "t.tok");
  const data::TokenFile file = data::TokenFile::open(config.data.path);
  model::resolve(config, 8);
  const auto step_of = [&](Index batch, Index micro) {
    config.train.batch = batch;
    config.train.micro_batch = micro;
    TrainState state(config, file, kernels::select_table("auto"), 1);
    return *state.step(0, 0);
  };
  const StepResult both = step_of(6, 3), small = step_of(3, 3);
  REQUIRE_FALSE(small.small_norm);
  REQUIRE(both.small_norm);
  REQUIRE(*both.small_norm == Approx(small.gradient_norm).epsilon(1e-6));
  REQUIRE(*both.small_norm > both.gradient_norm * 1.001);
}
