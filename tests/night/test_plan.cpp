// What a night trains, from its hours, its text and the machine's rate.
#include <cmath>

#include "base/error.hpp"
#include "design/belief.hpp"
#include "night/night_plan.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::night;
using Catch::Matchers::Contains;

namespace {

// A machine that does so many FLOPs a second with each of two processors, whatever the size.
Given machine(double flops_per_s, double hours, double train_tokens) {
  Given given;
  given.seconds = 3600 * hours;
  given.processors = 2;
  given.context = context_for(hours);
  given.train_tokens = train_tokens;
  given.most_validation_tokens = train_tokens / 9;
  for (const Rung& rung : size_ladder(given.vocab, given.context))
    given.rates.push_back({rung.N, flops_per_s / rung.flops_per_token});
  given.loss = design::stated_loss;
  return given;
}

double tokens_of(const Budget& budget, const std::string& size, const Given& given) {
  for (const Rung& rung : size_ladder(given.vocab, given.context))
    if (rung.name == size) return budget.flops / rung.flops_per_token;
  return NAN;
}

}  // namespace

TEST_CASE("the ladder's sizes grow by about 1.6, and their heads divide their widths") {
  const std::vector<Rung> ladder = size_ladder(256, 128);
  REQUIRE(ladder.size() > 15);
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    CHECK(ladder[i].width % ladder[i].heads == 0);
    if (i == 0) continue;
    CHECK(ladder[i].N >= 1.45 * ladder[i - 1].N);
    CHECK(ladder[i].N <= 3 * ladder[i - 1].N);
    CHECK(ladder[i].flops_per_token > ladder[i - 1].flops_per_token);
  }
}

TEST_CASE("a night fits its hours, and twice the hours are about twice the compute") {
  const NightPlan four = plan_night(machine(5e9, 4, 1e9)), eight = plan_night(machine(5e9, 8, 1e9));
  CHECK(four.limit == "hours");
  CHECK(four.seconds() <= 0.86 * 4 * 3600);
  CHECK(four.seconds() >= 0.8 * 4 * 3600);
  CHECK(eight.budgets.back().flops == Approx(2 * four.budgets.back().flops).epsilon(0.1));
  CHECK(eight.far.back() == Approx(8 * eight.budgets.back().flops));
}

TEST_CASE("no run of a night sees a text twice, and the text may be what limits it") {
  const Given given = machine(5e9, 8, 2e6);
  const NightPlan plan = plan_night(given);
  CHECK(plan.limit == "text");
  CHECK(plan.seconds() < 0.5 * given.seconds);
  for (const Budget& budget : plan.budgets) {
    CHECK(budget.sizes.size() >= 3);
    for (const std::string& size : budget.sizes) CHECK(tokens_of(budget, size, given) <= given.train_tokens);
  }
}

TEST_CASE("a text or hours that are too few are refused with what would do") {
  CHECK_THROWS_WITH(plan_night(machine(5e9, 8, 5e4)),
                    Contains("the text has 5e+04 tokens to train on; the least night needs"));
  CHECK_THROWS_WITH(plan_night(machine(1e6, 0.01, 1e8)), Contains("0.01 hours are too few"));
  CHECK_THROWS_AS(plan_night(machine(1e6, 0.01, 1e8)), RefusedError);
}

TEST_CASE("rates between measured sizes lie on the line of logarithms") {
  const std::vector<Rate> rates = {{1e3, 1e6}, {1e5, 1e4}};
  CHECK(rate_at(rates, 1e4) == Approx(1e5));
  CHECK(rate_at(rates, 1e6) == Approx(1e3));
  CHECK(rate_at({{1e3, 1e6}}, 2e3) == Approx(5e5));
}
