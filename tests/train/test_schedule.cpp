#include "train/schedule.hpp"

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::train;

namespace {

OptimConfig config_of(std::string schedule, Index steps, double warmup) {
  OptimConfig c;
  c.schedule = std::move(schedule);
  c.steps = steps;
  c.warmup = warmup;
  c.lr = 1.0;
  c.min_lr = 0.1;
  return c;
}

}  // namespace

TEST_CASE("warm-up is a share of the run's own steps below 1, and steps from 1 on") {
  REQUIRE(warmup_steps(config_of("cosine", 2000, 0.05)) == 100);
  REQUIRE(warmup_steps(config_of("cosine", 200, 0.05)) == 10);
  REQUIRE(warmup_steps(config_of("cosine", 2000, 100)) == 100);
  REQUIRE(warmup_steps(config_of("cosine", 2000, 0)) == 0);
}

TEST_CASE("warm-up rises linearly to lr in every schedule") {
  for (const char* schedule : {"cosine", "wsd", "constant"}) {
    const OptimConfig c = config_of(schedule, 100, 9);
    for (Index step = 0; step < 9; ++step)
      REQUIRE(learning_rate(c, step) == Approx(static_cast<double>(step + 1) / 10));
    REQUIRE(learning_rate(c, 9) == 1.0);
  }
}

TEST_CASE("cosine: nanoGPT's values, and min_lr at its own horizon") {
  const OptimConfig c = config_of("cosine", 2000, 100);
  REQUIRE(learning_rate(c, 100) == 1.0);
  REQUIRE(learning_rate(c, 1050) == Approx(0.55));      // half-way
  REQUIRE(learning_rate(c, 575) == Approx(0.8681980));  // a quarter: 0.1 + 0.9 * (1 + cos(pi/4)) / 2
  REQUIRE(learning_rate(c, 1999) == Approx(0.1).epsilon(1e-5));
  REQUIRE(learning_rate(c, 1999) > 0.1);
}

TEST_CASE("wsd: stable, then linear over the last share") {
  OptimConfig c = config_of("wsd", 100, 10);
  c.decay_share = 0.2;
  REQUIRE(learning_rate(c, 10) == 1.0);
  REQUIRE(learning_rate(c, 80) == 1.0);
  REQUIRE(learning_rate(c, 90) == Approx(0.55));
  REQUIRE(learning_rate(c, 99) == Approx(0.145));
  c.decay_share = 1;  // as much as the warm-up leaves
  REQUIRE(learning_rate(c, 55) == Approx(0.55));
  c.decay_share = 0;
  REQUIRE(learning_rate(c, 99) == 1.0);
}

TEST_CASE("constant stays, and a run that is all warm-up works") {
  REQUIRE(learning_rate(config_of("constant", 100, 10), 99) == 1.0);
  REQUIRE(learning_rate(config_of("cosine", 5, 50), 4) < 0.11);
  REQUIRE(learning_rate(config_of("cosine", 1, 0.05), 0) == 1.0);
  REQUIRE_THROWS_AS(learning_rate(config_of("cosine", 5, 0), 5), ContractError);
}

TEST_CASE("a schedule that is laid out for more steps is read off before its end") {
  for (const char* schedule : {"cosine", "wsd"}) {
    OptimConfig whole = config_of(schedule, 2000, 100), early = config_of(schedule, 500, 100);
    early.horizon = 2000;
    for (const Index step : {0, 99, 100, 300, 499})
      CHECK(learning_rate(early, step) == learning_rate(whole, step));
  }
}
