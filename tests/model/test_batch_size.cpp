#include "model/batch_size.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::model;
using Catch::Contains;

namespace {

OptimConfig ramp(Index first, Index batch, Index micro, double length, Index steps) {
  OptimConfig c;
  c.first_batch = first;
  c.batch = batch;
  c.micro_batch = micro;
  c.batch_ramp = length;
  c.steps = steps;
  return c;
}

}  // namespace

TEST_CASE("without a ramp every step has the batch") {
  const OptimConfig c = ramp(0, 12, 4, 0.5, 100);
  for (const Index step : {0, 1, 99}) REQUIRE(batch_of_step(c, step) == 12);
  REQUIRE(windows_before(c, 100) == 1200);
  REQUIRE(steps_for(c, 1200) == 100);
  REQUIRE(steps_for(c, 1201) == 101);
}

TEST_CASE("a ramp rises in whole micro-batches from the first batch to the last") {
  const OptimConfig c = ramp(4, 16, 4, 6, 20);
  const Index expected[] = {4, 4, 8, 8, 12, 12, 16, 16};
  for (Index step = 0; step < 8; ++step) REQUIRE(batch_of_step(c, step) == expected[step]);
}

TEST_CASE("windows before a step are the batches of the steps before it") {
  for (const double length : {0.0, 0.37, 1.0, 7.0, 50.0, 64.0}) {
    for (const Index micro : {1, 2, 4}) {
      const OptimConfig c = ramp(4, 24, micro, length, 64);
      Index sum = 0;
      for (Index step = 0; step <= 64; ++step) {
        INFO("ramp " << length << ", micro " << micro << ", step " << step);
        REQUIRE(windows_before(c, step) == sum);
        const Index batch = batch_of_step(c, step);
        REQUIRE((batch >= 4 && batch <= 24 && batch % micro == 0));
        sum += batch;
      }
    }
  }
}

TEST_CASE("the steps for a number of windows are the fewest that reach it") {
  for (const double length : {0.3, 10.0}) {
    OptimConfig c = ramp(2, 10, 2, length, 0);
    for (const Index windows : {1, 2, 3, 57, 1000, 99999}) {
      c.steps = steps_for(c, windows);
      REQUIRE(windows_before(c, c.steps) >= windows);
      --c.steps;
      REQUIRE(windows_before(c, c.steps) < windows);
    }
  }
}

TEST_CASE("a ramp that no pass fits is refused, and the automatic micro-batch fits both ends") {
  RunConfig c;
  c.train.batch = 24;
  c.train.first_batch = 9;
  RunConfig automatic = c;
  resolve(automatic, 256);
  REQUIRE(automatic.train.micro_batch == 3);
  c.train.micro_batch = 8;
  REQUIRE_THROWS_WITH(resolve(c, 256), Contains("train.first_batch (9)") && Contains("micro_batch (8)"));
  c.train.first_batch = 48;
  REQUIRE_THROWS_WITH(resolve(c, 256), Contains("a ramp goes up"));
}
