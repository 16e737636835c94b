#include "train/spike.hpp"

#include <limits>

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "kernels/table.hpp"
#include "small_runs.hpp"
#include "support/catch.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"
#include "train/trainer.hpp"

using namespace loglog;
using namespace loglog::train;

TEST_CASE("a spike is a loss far above the recent median, or none at all") {
  SpikeDetector detector(5);
  for (std::size_t i = 0; i < SpikeDetector::kFewest; ++i) {
    REQUIRE_FALSE(detector.is_spike(100));  // too few to judge
    detector.add(i % 2 == 0 ? 2.0 : 2.2);
  }
  // Median 2.1, every distance 0.1: one robust standard deviation is 0.14826.
  REQUIRE_FALSE(detector.is_spike(2.1 + 5 * 0.14826 - 1e-9));
  REQUIRE(detector.is_spike(2.1 + 5 * 0.14826 + 1e-9));
  REQUIRE_FALSE(detector.is_spike(-100));
  REQUIRE(detector.is_spike(std::numeric_limits<double>::quiet_NaN()));
  REQUIRE(detector.is_spike(std::numeric_limits<double>::infinity()));
  REQUIRE_FALSE(SpikeDetector(0, detector.recent()).is_spike(std::numeric_limits<double>::quiet_NaN()));
}

TEST_CASE("the oldest losses are forgotten") {
  SpikeDetector detector(5);
  for (std::size_t i = 0; i < SpikeDetector::kWindow; ++i) detector.add(i % 2 == 0 ? 9.0 : 9.1);
  REQUIRE_FALSE(detector.is_spike(9));
  for (std::size_t i = 0; i < SpikeDetector::kWindow; ++i) detector.add(i % 2 == 0 ? 2.0 : 2.2);
  REQUIRE(detector.recent().size() == SpikeDetector::kWindow);
  REQUIRE(detector.is_spike(9));
}

namespace {

struct Damaged {
  TemporaryFolder folder;
  model::RunConfig config;
  int runs = 0;
  Damaged() {
    write_damaged_tokens(folder.path() / "t.tok");
    config = spiking_run(folder.path() / "t.tok");
  }
  TrainOptions options() {
    return {.kernels = kernels::select_table("auto"),
            .threads = 1,
            .out = folder.path() / std::to_string(runs++),
            .fs = unsynced_file_system()};
  }
};

}  // namespace

TEST_CASE("a run goes back before a spike and on behind its data") {
  Damaged d;
  const TrainOptions options = d.options();
  const TrainResult result = train::train(d.config, options);
  REQUIRE(result.status == Status::done);
  Index spikes = 0, skipped = 0, step = 0;
  for (const nlohmann::json& event : comparable_record(options.out)) {
    if (event.at("event") == "spike") {
      const auto back_to = event.at("back_to").get<Index>();
      REQUIRE(event.at("step") == step);  // the step that spiked was undone
      REQUIRE(back_to % 25 == 0);
      REQUIRE((back_to <= step && step < back_to + 25));
      REQUIRE(event.at("skipped_windows") == 2 * 6);  // the batch itself and one more
      step = back_to;
      ++spikes;
      skipped += (event.at("step").get<Index>() - back_to) * 6 + 12;
    }
    if (event.at("event") == "step") REQUIRE(event.at("step") == ++step);
  }
  REQUIRE(spikes >= 1);
  REQUIRE(spikes <= 21);  // windows that the damage touches
  const auto newest = model::CheckpointFolder(real_file_system(), options.out / "checkpoints").newest();
  REQUIRE(newest->step == 150);
  REQUIRE(newest->tokens == 150 * 6 * 16);
  REQUIRE(newest->windows == 150 * 6 + skipped);
  REQUIRE(newest->spikes == spikes);
  // What was undone or skipped was not learned.
  REQUIRE(result.end_event.at("exposure").at("one").at("windows") == 150 * 6);
  const auto epoch = comparable_record(options.out).front().at("data").at("tokens_per_epoch").get<double>();
  REQUIRE(result.end_event.at("epochs").get<double>() == Approx(150 * 6 * 16 / epoch));

  SECTION("without the detector it does not") {
    d.config.train.spike = 0;
    const TrainOptions plain = d.options();
    train::train(d.config, plain);
    for (const nlohmann::json& event : comparable_record(plain.out)) REQUIRE(event.at("event") != "spike");
  }
  SECTION("stopped anywhere and resumed, it has the same bits") {
    const std::string expected = newest_tensors(options.out);
    for (const int stop : {1, 20, 55, 77, 90, 120, 149, 160}) {
      TrainOptions first = d.options();
      int questions = 0;
      first.stop_requested = [&] { return ++questions > stop; };
      first.patience_seconds = 1e9;
      INFO("stopped at question " << stop);
      REQUIRE(train::train(d.config, first).status == Status::checkpointed);
      TrainOptions second = d.options();
      second.out = first.out;
      second.resume = true;
      REQUIRE(train::train(d.config, second).status == Status::done);
      REQUIRE(newest_tensors(first.out) == expected);
    }
  }
}

TEST_CASE("behind a spike there is a checkpoint of where it went back to, however many were made since") {
  Damaged d;
  d.config.train.checkpoint_every = 5;
  TrainOptions options = d.options();
  const model::CheckpointFolder checkpoints(real_file_system(), options.out / "checkpoints");
  Index before = 0, returns = 0;
  options.on_progress = [&](const Progress& p) {
    if (p.step < before) {
      ++returns;
      REQUIRE(checkpoints.last_until(d.config.train.steps) == p.step - 1);
    }
    before = p.step;
  };
  train::train(d.config, options);
  REQUIRE(returns > 0);
}

TEST_CASE("a run that died, wherever, ends in the bits of the straight one, whatever states it left behind") {
  Damaged d;
  const TrainOptions straight = d.options();
  REQUIRE(train::train(d.config, straight).status == Status::done);
  const std::string expected = newest_tensors(straight.out);
  struct Died {};
  for (const Index death : {44, 53, 77, 79, 81, 99, 101, 126, 149}) {
    TrainOptions first = d.options();
    first.on_progress = [death](const Progress& p) {
      if (p.step == death) throw Died();
    };
    INFO("died after step " << death);
    REQUIRE_THROWS_AS(train::train(d.config, first), Died);
    TrainOptions second = d.options();
    second.out = first.out;
    second.resume = true;
    REQUIRE(train::train(d.config, second).status == Status::done);
    REQUIRE(newest_tensors(first.out) == expected);
  }
}

TEST_CASE(
    "states to go back to: those of a run that was here before are cleared, those of another are refused") {
  Damaged d;
  d.config.train.steps = 60;
  d.config.train.checkpoint_every = 30;
  const TrainOptions options = d.options();
  train::train(d.config, options);
  const model::CheckpointFolder kept(real_file_system(), options.out / "rollback");
  REQUIRE(kept.last_until(60) == 50);

  SECTION("a run that begins anew has none") {
    std::filesystem::remove_all(options.out / "checkpoints");
    TrainOptions again = options;
    again.resume = true;
    again.stop_requested = [] { return true; };
    REQUIRE(train::train(d.config, again).status == Status::checkpointed);
    REQUIRE(kept.empty());
  }
  SECTION("of another run") {
    model::RunConfig other = d.config;
    other.train.seed = 2;
    const TrainOptions elsewhere = d.options();
    train::train(other, elsewhere);
    std::filesystem::remove_all(options.out / "rollback");
    std::filesystem::copy(elsewhere.out / "rollback", options.out / "rollback");
    TrainOptions again = options;
    again.resume = true;
    REQUIRE_THROWS_AS(train::train(d.config, again), InputError);
    REQUIRE_THROWS_WITH(train::train(d.config, again),
                        Catch::Contains("rollback") && Catch::Contains("another run"));
  }
}
