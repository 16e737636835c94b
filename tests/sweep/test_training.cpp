// The function that trains a leased run: what an interrupted run left in its folder.
#include "sweep/training.hpp"

#include <fstream>
#include <map>

#include "base/error.hpp"
#include "data/token_file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "train/small_runs.hpp"
#include "train/trainer.hpp"

using namespace loglog;
using namespace loglog::sweep;

namespace {

RunSpec spec_of(model::RunConfig config) {
  const data::TokenFile file = data::TokenFile::open(config.data.path);
  model::resolve(config, static_cast<model::Index>(file.vocab_size()));
  RunSpec spec;
  spec.identity = train::run_identity(config, file);
  spec.data_checksum = file.checksum_text();
  spec.config = model::to_json(config);
  return spec;
}

}  // namespace

TEST_CASE("the curve of a run has no losses that a spike undid") {
  const TemporaryFolder folder;
  const Path tokens = folder.path() / "t.tok", out = folder.path() / "run";
  write_damaged_tokens(tokens);
  model::RunConfig config = spiking_run(tokens);
  config.train.steps =
      1000;  // more than a curve keeps: it has every second one, also of those that were undone
  config.eval.every = 10;
  const RunSpec spec = spec_of(config);
  std::filesystem::create_directories(out);
  const auto outcome =
      trainer({.isa = "scalar", .data = {}})(spec, out, {[] { return false; }, [](std::int64_t) {}});
  // What the record says last of each step, from its end to its beginning.
  std::map<std::int64_t, double> losses;
  const auto events = comparable_record(out);
  std::int64_t until = 1'000'000, spikes = 0;
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    if (event->at("event") == "spike")
      until = std::min(until, event->at("back_to").get<std::int64_t>()), ++spikes;
    const auto step = event->at("step").get<std::int64_t>();
    if (event->at("event") == "step" && step <= until) losses.emplace(step, event->at("train_loss"));
  }
  REQUIRE(spikes > 0);
  REQUIRE(losses.size() == 1000);
  std::size_t compared = 0, evaluations = 0;
  for (const CurvePoint& point : outcome->curve) {
    evaluations += point.val_loss.has_value();
    if (!point.train_loss) continue;
    CAPTURE(point.step);
    REQUIRE(*point.train_loss == losses.at(point.step));
    ++compared;
  }
  REQUIRE(compared > 400);
  REQUIRE(evaluations == 100);
}

TEST_CASE("a damaged rest of an interrupted run is cleared away, and the run ends as if it had not been") {
  const TemporaryFolder folder;
  const Path tokens = folder.path() / "small.tok";
  write_small_tokens(tokens);
  model::RunConfig config = small_run(tokens);
  const RunSpec spec = spec_of(config);
  const RunFunction train_run = trainer({.isa = "scalar", .data = {}});
  const auto run_in = [&](const Path& out, std::int64_t stop_after) {
    std::filesystem::create_directories(out);
    std::int64_t steps = 0;
    return train_run(spec, out,
                     {[&] { return steps >= stop_after; }, [&](std::int64_t step) { steps = step; }});
  };
  const double straight = *run_in(folder.path() / "straight", 1000)->loss;

  const auto flip = [](const Path& path) {
    std::fstream out(path, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(-3, std::ios::end);
    out.put('\x55');
  };
  for (const std::string damage : {"none", "tensors", "manifest", "record"}) {
    const Path out = folder.path() / damage;
    REQUIRE_FALSE(run_in(out, 7));
    for (const auto& entry : std::filesystem::directory_iterator(out / "checkpoints")) {
      if (damage == "tensors" && entry.path().extension() == ".safetensors") flip(entry.path());
      if (damage == "manifest" && entry.path().extension() == ".json") std::ofstream(entry.path()) << "";
    }
    if (damage == "record") std::filesystem::remove(out / "record.jsonl");
    const auto outcome = run_in(out, 1000);
    REQUIRE(outcome);
    REQUIRE(*outcome->loss == straight);
  }
}
