// What studies of trained models share and what needs no model.
#include "studies/model_arms.hpp"

#include "support/catch.hpp"

using namespace loglog::studies;
using Catch::Contains;

TEST_CASE("the detector is to find what was planted beside what was there, and nothing else") {
  const Control good = planted_control("g", {2, 5, 7}, {}, {2, 5, 7});
  CHECK(good.behaved);
  CHECK(good.planted);
  CHECK_THAT(good.name, Contains("g: planted"));
  CHECK_THAT(good.text, Contains("3 planted beside 0") && Contains("3 found") && !Contains("others"));
  CHECK(planted_control("g", {2, 5}, {1, 5}, {1, 2, 5})
            .behaved);  // one that was there stays, one was planted on
  CHECK_FALSE(planted_control("g", {2, 5}, {1}, {2, 5}).behaved);
  CHECK_FALSE(planted_control("g", {2, 5}, {}, {2}).behaved);
  CHECK_FALSE(planted_control("g", {2, 5}, {}, {2, 5, 9}).behaved);
  CHECK_THAT(planted_control("g", {2, 5}, {}, {2, 6}).text, Contains("2 found, others"));
}
