#include "fit/choice/holdout.hpp"

#include <cmath>

#include "base/error.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

// Rows 0 .. 8: three budgets of three runs, C = 1, 10, 100; two rows of each run.
Runs three_budgets() {
  Runs runs = empty_runs({"C"});
  for (int i = 0; i < 9; ++i) add_run(runs, {std::pow(10.0, i / 3) * (1 + 0.01 * (i % 3))}, 3, i / 2);
  return runs;
}

using Rows = std::vector<int>;

}  // namespace

TEST_CASE("folds hold out what the plan says") {
  const Runs runs = three_budgets();
  const auto below = make_folds(runs, holdout_named("C<50"), 1);
  REQUIRE(below.size() == 1);
  CHECK(below[0].train == Rows{0, 1, 2, 3, 4, 5});
  CHECK(below[0].test == Rows{6, 7, 8});
  const auto expanding = make_folds(runs, holdout_named("expanding"), 1);
  REQUIRE(expanding.size() == 2);
  CHECK(expanding[0].train == Rows{0, 1, 2});
  CHECK(expanding[0].test == Rows{3, 4, 5});
  CHECK(expanding[1].train == Rows{0, 1, 2, 3, 4, 5});
  CHECK(expanding[1].name == "C = 100..102");
  const auto scales = make_folds(runs, holdout_named("scale:C"), 1);
  REQUIRE(scales.size() == 3);
  CHECK(scales[1].train == Rows{0, 1, 2, 6, 7, 8});
  const auto each_run = make_folds(runs, holdout_named("run"), 1);
  REQUIRE(each_run.size() == 5);
  CHECK(each_run[1].test == Rows{2, 3});
  CHECK(make_folds(runs, {}, 1)[0].test == Rows{6, 7, 8});  // rows of one cost stay together
  CHECK_THROWS_WITH(make_folds(runs, holdout_named("C<0.5"), 1), Contains("nowhere are there 1 rows to fit"));
  CHECK_THROWS_AS(make_folds(runs, holdout_named("expanding"), 9), InputError);
}

TEST_CASE("many scales are joined to twelve, without N and D twice") {
  Runs runs = empty_runs({"N", "D"});
  for (int i = 0; i < 100; ++i) add_run(runs, {std::pow(1.2, i), std::pow(1.1, 100 - i)}, 3);
  const auto folds = make_folds(runs, holdout_named("scale:N"), 1);
  REQUIRE(folds.size() == 12);
  std::size_t held_out = 0;
  for (const Fold& fold : folds) held_out += fold.test.size();
  CHECK(held_out == 100);
  CHECK(make_folds(runs, {}, 1)[0].name.starts_with("N D >="));  // without C the cost is N D
}

TEST_CASE("what cannot be a plan is refused, and what can says so") {
  for (const char* text : {"C", "<3", "C<", "C<x", "C<-1", "expanding:", "scale:"}) {
    INFO(text);
    CHECK_THROWS_AS(holdout_named(text), UsageError);
  }
  CHECK_THAT(holdout_named("C<1e21").in_words(), Contains("C < 1e+21"));
}

TEST_CASE("noise-free points are predicted exactly, however they are held out") {
  const Runs runs = lab_sweep(0, 1);
  const Law& law = *find_law("chinchilla");
  for (const char* plan : {"", "expanding", "scale:N", "N<1e6"}) {
    INFO(plan);
    const Holdout holdout = hold_out(law, runs, make_folds(runs, holdout_named(plan), 20), {1e-3});
    CHECK(holdout.refused() == 0);
    CHECK(log_rmse(holdout.points()) < 1e-5);
  }
}

TEST_CASE("held-out runs lie inside the interval of a new run as often as it says") {
  const Law& law = *find_law("chinchilla");
  double inside = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Runs runs = lab_sweep(0.01, 20 + seed);
    SurfaceOptions options;
    options.intervals = {IntervalKind::noise, 100, seed, 2};
    const Holdout holdout = hold_out(law, runs, make_folds(runs, holdout_named("scale:N"), 7), options);
    REQUIRE(holdout.points().size() == 40);
    inside += share_inside(holdout.points()) / 5;
    CHECK(log_rmse(holdout.points()) < 0.02);
  }
  CHECK(inside > 0.89);  // 200 runs of a true 95%: below this has probability 1e-4
}

TEST_CASE("a fold to which the law cannot be fitted is counted, not hidden") {
  Runs runs = empty_runs({"N"});
  for (int i = 0; i < 8; ++i) add_run(runs, {i < 6 ? 1e5 : 1e6}, i < 6 ? 3.0 : 2.5);
  const Holdout holdout =
      hold_out(*find_law("power-N"), runs, make_folds(runs, holdout_named("scale:N"), 2), {1e-3});
  CHECK(holdout.refused() == 2);
  const auto json = to_json(holdout, runs);
  CHECK(json["refused"] == 2);
  CHECK(json["log_rmse"].is_null());
  CHECK_THAT(json["folds"][0]["refused"].get<std::string>(), Contains("points") || Contains("one value"));
  CHECK_THAT(to_text(holdout), Contains("2 folds refused"));
}

TEST_CASE("the JSON of a hold-out has what a plot needs") {
  const Runs runs = lab_sweep(0.01, 2);
  SurfaceOptions options;
  options.intervals.resamples = 30;
  const auto json = to_json(
      hold_out(*find_law("chinchilla"), runs, make_folds(runs, holdout_named("expanding"), 7), options),
      runs);
  const auto& point = json["folds"][0]["points"][0];
  CHECK(point["x"]["N"] == runs.columns[0][static_cast<std::size_t>(point["row"].get<int>() - 1)]);
  CHECK(point["lo"] < point["predicted"]);
  CHECK(point["predicted"] < point["hi"]);
}
