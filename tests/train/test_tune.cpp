#include "train/tune.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "kernels/table.hpp"
#include "small_runs.hpp"
#include "support/catch.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::train;
using Catch::Contains;

namespace {

struct Bench {
  TemporaryFolder folder;
  model::RunConfig config;
  TuneOptions search;
  Bench() {
    write_small_tokens(folder.path() / "t.tok");
    config = small_run(folder.path() / "t.tok");
    config.train.steps = 80;
    config.train.schedule = "cosine";
    config.train.warmup = 10;
    config.eval.every = 0;
    search.share = 0.5;
    search.factor = 4;
  }
  TrainOptions options() const {
    return {.kernels = kernels::select_table("auto"),
            .threads = 1,
            .out = folder.path() / "tune",
            .fs = unsynced_file_system()};
  }
};

}  // namespace

TEST_CASE("a short run keeps what belongs to the value") {
  Bench b;
  model::resolve(b.config, 8);
  model::RunConfig run = tuning_run(b.config, b.search, 0.02);
  model::resolve(run, 8);
  REQUIRE(run.train.lr == 0.02);
  REQUIRE(run.train.min_lr == Approx(0.002));  // the configuration's is a tenth of its lr
  REQUIRE(run.train.steps == 40);
  REQUIRE(run.train.warmup == 5);
  REQUIRE(run.train.micro_batch == 3);
  b.search.key = "train.batch";
  run = tuning_run(b.config, b.search, 8);  // no multiple of the configuration's passes
  model::resolve(run, 8);
  REQUIRE(run.train.batch == 8);
  REQUIRE(run.train.steps == 30);  // the same tokens
  REQUIRE(run.train.warmup == 4);
}

TEST_CASE("what a size rule decided is where the search begins, and stays away from what it sets") {
  Bench b;
  b.config.train.size_rule = "porian";
  b.config.train.micro_batch = 0;
  b.config.train.warmup = 0.1;
  b.config.train.steps = 0;
  b.config.train.tokens = 6000;
  model::RunConfig resolved = b.config;
  model::resolve(resolved, 8);
  const Tuned tuned = *tune(b.config, b.search, b.options());
  REQUIRE(tuned.points.size() >= 3);
  std::set<double> rates, losses;
  for (const TunePoint& p : tuned.points) {
    const model::RunConfig trained = model::read_config(p.out / "config.toml");
    REQUIRE(trained.train.lr == p.value);
    REQUIRE(trained.train.batch == resolved.train.batch);
    rates.insert(trained.train.lr);
    losses.insert(p.loss);
  }
  REQUIRE(rates.size() == tuned.points.size());
  REQUIRE(losses.size() == tuned.points.size());
  REQUIRE(std::ranges::any_of(
      tuned.points, [&](const TunePoint& p) { return p.value == Approx(resolved.train.lr).epsilon(1e-3); }));
}

TEST_CASE("whole numbers are tried as whole numbers, down to the last") {
  Bench b;
  b.search.key = "train.batch";
  b.search.factor = 2.5;
  b.search.share = 0.2;
  b.search.points = 8;
  b.config.train.batch = 2;
  b.config.train.micro_batch = 2;
  b.config.train.warmup = 0;
  const Tuned tuned = *tune(b.config, b.search, b.options());
  REQUIRE(tuned.points.size() >= 3);
  REQUIRE(tuned.points[0].value == 1);  // and not a second time
  REQUIRE(tuned.points[1].value == 2);
  REQUIRE(tuned.points[2].value == 5);
  REQUIRE(*tuned.value == std::round(*tuned.value));
  REQUIRE(tuned.points[0].out.filename() == "train.batch=1");
}

TEST_CASE("where every run diverges there is no answer") {
  Bench b;
  b.config.train.lr = b.config.train.min_lr = 1e6;
  b.config.train.weight_decay = 1e3;
  b.search.points = 3;
  const Tuned tuned = *tune(b.config, b.search, b.options());
  REQUIRE_FALSE(tuned.value);
  for (const TunePoint& p : tuned.points) REQUIRE(std::isinf(p.loss));
}

TEST_CASE("the search walks towards the best and stops between its neighbours") {
  Bench b;
  b.config.train.lr = 1e-4;  // far too low
  b.config.train.min_lr = 1e-5;
  const Tuned tuned = *tune(b.config, b.search, b.options());
  REQUIRE(tuned.points.size() == 5);
  REQUIRE(tuned.points[0].value == Approx(1e-4 / 4));
  for (std::size_t i = 1; i < 5; ++i) {
    REQUIRE(tuned.points[i].value == Approx(4 * tuned.points[i - 1].value));
    if (i < 4) REQUIRE(tuned.points[i].loss < tuned.points[i - 1].loss);
  }
  const bool last_is_best = tuned.points[4].loss < tuned.points[3].loss;
  REQUIRE(tuned.at_end == last_is_best);
  for (const TunePoint& p : tuned.points) REQUIRE(path_exists(p.out / "record.jsonl"));

  SECTION("and goes on from what is there") {
    const TrainOptions again = b.options();
    const Tuned same = *tune(b.config, b.search, again);
    REQUIRE(*same.value == *tuned.value);
    REQUIRE(same.points.size() == tuned.points.size());
  }
}

TEST_CASE("between two neighbours the answer is the vertex of the parabola") {
  Bench b;
  b.config.train.lr = 0.02;
  b.search.factor = 8;
  const Tuned tuned = *tune(b.config, b.search, b.options());
  REQUIRE_FALSE(tuned.at_end);
  REQUIRE(tuned.points.size() == 3);
  // Three equidistant points: vertex at x1 + h/2 (f0 - f2) / (f0 - 2 f1 + f2).
  const double f0 = tuned.points[0].loss, f1 = tuned.points[1].loss, f2 = tuned.points[2].loss;
  REQUIRE((f1 < f0 && f1 < f2));
  REQUIRE(std::log(*tuned.value) ==
          Approx(std::log(0.02) + 0.5 * std::log(8.0) * (f0 - f2) / (f0 - 2 * f1 + f2)).epsilon(1e-9));
}

TEST_CASE("a stopped search says so, and goes on") {
  Bench b;
  TrainOptions options = b.options();
  int questions = 0;
  options.stop_requested = [&] { return ++questions > 60; };  // in the second run
  REQUIRE_FALSE(tune(b.config, b.search, options));
  REQUIRE(tune(b.config, b.search, b.options()));
}

TEST_CASE("what cannot be searched is refused") {
  Bench b;
  const auto refuse = [&](TuneOptions search, const std::string& what) {
    REQUIRE_THROWS_WITH(tune(b.config, search, b.options()), Contains(what));
  };
  for (const char* key : {"train.schedule", "train.steps", "train.tokens", "eval.tokens", "model.layers"})
    refuse({.key = key}, "unknown key to tune");
  refuse({.key = "train.lrr"}, "did you mean 'train.lr'");
  refuse({.key = "train.dropout"}, "it is 0");
  refuse({.factor = 1.00001}, "too near to 1");
  refuse({.key = "train.batch", .factor = 1.05}, "too near to 1");
  b.config.train.first_batch = 3;
  refuse({.key = "train.batch"}, "ramps up");
  b.config.train.first_batch = 0;
  refuse({.factor = 1}, "above 1");
  refuse({.share = 0}, "--share");
  refuse({.points = 2}, "at least 3");
}
