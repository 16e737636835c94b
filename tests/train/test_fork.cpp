// Forks: a cooldown from a trunk has the bits of the run that was planned with it; a restart has parameters alone.
#include <algorithm>
#include <functional>

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
using Catch::Contains;

namespace {

struct Forest {
  TemporaryFolder folder;
  Path tokens = folder.path() / "t.tok";
  model::RunConfig trunk;
  Forest() {
    write_small_tokens(tokens);
    trunk = small_run(tokens);
    trunk.train.schedule = "constant";
    trunk.train.warmup = 2;
    trunk.train.steps = 8;
  }
  TrainOptions options(const char* name) const {
    return {.kernels = kernels::select_table("auto"),
            .threads = 1,
            .out = folder.path() / name,
            .fs = unsynced_file_system()};
  }
  // The trunk's schedule until step 8, then down to step 12.
  static void cool_down(model::RunConfig& config) {
    config.train.schedule = "wsd";
    config.train.decay_share = 1.0 / 3;
    config.train.steps = 12;
  }
};

std::vector<float> read_parameters(const Path& folder) {
  const model::OpenedModel opened = model::open_model(folder);
  model::Gpt gpt(opened.config.model, {1, opened.config.model.context});
  model::load_parameters(opened, gpt);
  return {gpt.values().begin(), gpt.values().end()};
}

}  // namespace

TEST_CASE("a cooldown from a trunk has the bits of the straight run") {
  Forest f;
  const auto [optimizer, precision, dropout] = GENERATE(table<std::string, std::string, double>(
      {{"adamw", "f32", 0.0}, {"adamw", "bf16", 0.2}, {"sgd", "f32", 0.0}, {"adafactor", "f32", 0.0}}));
  f.trunk.train.optimizer = optimizer;
  f.trunk.train.precision = precision;
  f.trunk.train.dropout = dropout;
  train::train(f.trunk, f.options("trunk"));
  model::RunConfig straight = f.trunk;
  Forest::cool_down(straight);
  const TrainResult expected = train::train(straight, f.options("straight"));

  TrainOptions options = f.options("fork");
  options.fork = find_fork_origin(options.fs, f.options("trunk").out);
  REQUIRE(options.fork->model.step == 8);
  model::RunConfig config = fork_config(*options.fork, false);
  Forest::cool_down(config);
  const TrainResult result = train::train(config, options);
  REQUIRE(result.val_loss == expected.val_loss);
  REQUIRE(newest_tensors(options.out) == newest_tensors(f.options("straight").out));
  REQUIRE(result.end_event.at("tokens") == expected.end_event.at("tokens"));
  REQUIRE(result.end_event.at("epochs") == expected.end_event.at("epochs"));
  REQUIRE(result.end_event.at("exposure") == expected.end_event.at("exposure"));
  // Its speed is that of its own four steps; the tokens are the parent's too.
  const double own_tokens = 4 * 6 * 16;
  REQUIRE(result.end_event.at("tokens_per_s").get<double>() ==
          Approx(own_tokens / result.end_event.at("train_seconds").get<double>()));
}

TEST_CASE("a fork needs its parent only until it has begun, and resumes to the same bits") {
  Forest f;
  train::train(f.trunk, f.options("trunk"));
  const Path manifest = f.options("trunk").out / "checkpoints" / "step-000000000005.json";
  TrainOptions options = f.options("fork");
  options.fork = find_fork_origin(options.fs, manifest);
  REQUIRE(options.fork->model.step == 5);
  model::RunConfig config = fork_config(*options.fork, false);
  Forest::cool_down(config);
  const TrainResult whole = train::train(config, options);

  TrainOptions first = f.options("stopped");
  first.fork = options.fork;
  first.stop_requested = [] { return true; };
  REQUIRE(train::train(config, first).status == Status::checkpointed);
  std::filesystem::remove_all(f.options("trunk").out);
  TrainOptions second = f.options("stopped");
  second.resume = true;
  REQUIRE(train::train(config, second).val_loss == whole.val_loss);
  REQUIRE(newest_tensors(second.out) == newest_tensors(options.out));
}

TEST_CASE("a fork that died before its first checkpoint can be begun again, and nothing else over a record") {
  Forest f;
  train::train(f.trunk, f.options("trunk"));
  TrainOptions options = f.options("fork");
  options.fork = find_fork_origin(options.fs, f.options("trunk").out);
  model::RunConfig config = fork_config(*options.fork, false);
  Forest::cool_down(config);
  const TrainResult whole = train::train(config, options);
  REQUIRE_THROWS_WITH(train::train(config, options), Contains("already holds a run"));

  std::filesystem::remove_all(options.out / "checkpoints");  // as if it had died while it read its parent
  model::RunConfig other = config;
  other.train.lr = 0.5;
  REQUIRE_THROWS_WITH(train::train(other, options), Contains("train.lr"));
  REQUIRE(train::train(config, options).val_loss == whole.val_loss);
  std::filesystem::remove(options.out / "record.jsonl");
  REQUIRE_THROWS_WITH(train::train(config, options), Contains("already holds a run"));
}

TEST_CASE("a restart on the parent's text in another split, or on other tokens, is told what to mind") {
  Forest f;
  train::train(f.trunk, f.options("trunk"));
  const auto notes_of = [&](const char* name, const std::function<void(model::RunConfig&)>& change) {
    TrainOptions options = f.options(name);
    std::vector<std::string> notes;
    options.on_note = [&](const std::string& note) { notes.push_back(note); };
    options.fork = find_fork_origin(options.fs, f.options("trunk").out);
    model::RunConfig config = fork_config(*options.fork, true);
    config.train.steps = 1;
    config.train.warmup = 0;
    change(config);
    train::train(config, options);
    return notes;
  };
  REQUIRE(notes_of("same", [](model::RunConfig&) {}).empty());
  const auto split = notes_of("split", [](model::RunConfig& c) { c.data.val_share = 0.3; });
  REQUIRE(split.size() == 1);
  REQUIRE_THAT(split[0], Contains("data.val_share (there 0.1, here 0.3)") && Contains("trained on text"));

  write_atomically(real_file_system(), f.options("trunk").out / "codec.json", "{\"kind\": \"bytes\"}\n");
  REQUIRE(
      notes_of("unknown", [](model::RunConfig&) {}).empty());  // the data does not say what its tokens are
  const Path told = f.folder.path() / "told.tok";
  data::TokenWriter writer(real_file_system(), told, 1);
  writer.begin_source("one");
  const Rng draw(5, 5);
  for (std::uint64_t i = 0; i < 9000; ++i) {
    const auto token = static_cast<data::Token>(draw.below(i, 8));
    writer.append({&token, 1});
  }
  writer.finish(8, {{"tokenizer", {{"kind", "ids"}}}});
  const auto tokens = notes_of("tokens", [&](model::RunConfig& c) { c.data.path = told.string(); });
  REQUIRE(tokens.size() == 1);
  REQUIRE_THAT(tokens[0], Contains("told.tok") && Contains("another tokenizer"));
}

TEST_CASE("a restart takes the parameters and nothing else") {
  Forest f;
  train::train(f.trunk, f.options("trunk"));
  TrainOptions options = f.options("tuned");
  options.fork = find_fork_origin(options.fs, f.options("trunk").out);
  model::RunConfig config = fork_config(*options.fork, true);
  config.train.steps = 0;
  config.train.optimizer = "sgd";  // there are no moments to take over
  const TrainResult result = train::train(config, options);
  REQUIRE(result.end_event.at("tokens") == 0);
  REQUIRE(read_parameters(options.out) == read_parameters(f.options("trunk").out));
  const std::vector<nlohmann::json> events = comparable_record(options.out);
  REQUIRE(events.front().at("config").at("fork").at("step") == 8);
  REQUIRE(events.front().at("config").at("fork").at("restart") == true);
}

TEST_CASE("a model folder can be begun anew from, and only that") {
  Forest f;
  model::RunConfig start = f.trunk;
  model::resolve(start, 8);
  model::Gpt gpt(start.model, {1, 16});
  gpt.initialise(77);
  const Path folder = f.folder.path() / "imported";
  model::write_model_folder(real_file_system(), folder, start, gpt, "");
  TrainOptions options = f.options("tuned");
  options.fork = find_fork_origin(options.fs, folder);
  model::RunConfig config = fork_config(*options.fork, true);
  config.train.steps = 0;
  train::train(config, options);
  REQUIRE(read_parameters(options.out) == read_parameters(folder));
  options.out = f.folder.path() / "continued";
  REQUIRE_THROWS_WITH(train::train(fork_config(*options.fork, false), options), Contains("--restart"));
}

TEST_CASE("a fork is another run than its parent, than a restart and than a run of its own") {
  Forest f;
  train::train(f.trunk, f.options("trunk"));
  const ForkOrigin origin = find_fork_origin(real_file_system(), f.options("trunk").out);
  const data::TokenFile file = data::TokenFile::open(f.tokens);
  const std::string ids[] = {origin.identity, run_identity(fork_config(origin, false), file),
                             run_identity(fork_config(origin, true), file)};
  REQUIRE(ids[0] == run_identity(origin.model.config, file));
  REQUIRE((ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]));
}

TEST_CASE("what cannot be forked is refused") {
  Forest f;
  train::train(f.trunk, f.options("trunk"));
  TrainOptions options = f.options("fork");
  options.fork = find_fork_origin(options.fs, f.options("trunk").out);
  model::RunConfig config = fork_config(*options.fork, false);
  SECTION("no steps left") {
    REQUIRE_THROWS_WITH(train::train(config, options), Contains("8 steps behind it, train.steps is 8"));
  }
  Forest::cool_down(config);
  SECTION("other data without restart") {
    const Path other = f.folder.path() / "other.tok";
    data::TokenWriter writer(real_file_system(), other, 1);
    writer.begin_source("one");
    std::vector<data::Token> tokens;
    for (int i = 0; i < 9000; ++i) tokens.push_back(static_cast<data::Token>((i * i) % 8));
    writer.append(tokens);
    writer.finish(8, {});
    config.data.path = other.string();
    REQUIRE_THROWS_WITH(train::train(config, options), Contains("--restart"));
    REQUIRE_FALSE(path_exists(options.out));
  }
  SECTION("another shape, before anything is written") {
    config.model.width = 32;
    config.fork.restart = GENERATE(false, true);
    REQUIRE_THROWS_AS(train::train(config, options), UsageError);
    REQUIRE_THROWS_WITH(train::train(config, options), Contains("model.width (there 16, here 32)"));
    REQUIRE_FALSE(path_exists(options.out));
  }
  SECTION("another course through the data, or other moments") {
    const std::function<void(model::RunConfig&)> changes[] = {
        [](auto& c) { c.data.val_share = 0.2; }, [](auto& c) { c.data.split = "position"; },
        [](auto& c) { c.train.seed = 9; }, [](auto& c) { c.data.mixture = "first=1,second=2"; },
        [](auto& c) { c.train.optimizer = "sgd"; }};
    for (const auto& change : changes) {
      model::RunConfig changed = config;
      change(changed);
      REQUIRE_THROWS_AS(train::train(changed, options), UsageError);
      REQUIRE_THROWS_WITH(train::train(changed, options), Contains("(there ") && Contains("--restart"));
      REQUIRE_FALSE(path_exists(options.out));
    }
  }
  SECTION("without its parent") {
    options.fork.reset();
    REQUIRE_THROWS_WITH(train::train(config, options), Contains("--fork"));
  }
  SECTION("resumed without its parent, before it had a checkpoint of its own") {
    options.fork.reset();
    options.resume = true;
    std::filesystem::create_directories(options.out / "checkpoints");
    REQUIRE_THROWS_WITH(train::train(config, options), Contains("--fork"));
  }
  SECTION("no run there") {
    REQUIRE_THROWS_AS(find_fork_origin(options.fs, f.folder.path() / "nothing"), InputError);
    REQUIRE_THROWS_AS(find_fork_origin(options.fs, f.folder.path() / "step-12.json"), UsageError);
    REQUIRE_THROWS_AS(find_fork_origin(options.fs, f.folder.path() / "step-000000000012.json"), InputError);
  }
}
