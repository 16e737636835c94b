// Bits of a run: threads, stopping anywhere, power cuts (F3), failing disks (F4), data that shrinks (F16), divergence.
#include "train/trainer.hpp"

#include <cmath>

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "kernels/table.hpp"
#include "small_runs.hpp"
#include "support/catch.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"
#include "train/bench.hpp"
#include "train/choose_table.hpp"
#include "train/train_state.hpp"

using namespace loglog;
using namespace loglog::train;
using Catch::Contains;

namespace {

struct Workshop {
  TemporaryFolder folder;
  Path tokens = folder.path() / "t.tok";
  model::RunConfig config;
  int runs = 0;
  Workshop() {
    write_small_tokens(tokens);
    config = small_run(tokens);
  }
  Path new_out() { return folder.path() / std::to_string(runs++) / "run"; }
  TrainOptions options(const Path& out) const {
    return {.kernels = kernels::select_table("auto"), .threads = 1, .out = out, .fs = unsynced_file_system()};
  }
  // A stop request that comes once `steps` steps are done in this process.
  static std::function<bool()> stop_after(TrainOptions& options, Index steps) {
    auto done = std::make_shared<Index>(0);
    options.on_progress = [done](const Progress& p) { *done = p.step; };
    return [done, steps] { return *done >= steps; };
  }
};

}  // namespace

TEST_CASE("one, two and three threads give the same bits") {
  Workshop w;
  make_parallel(w.config);
  std::vector<std::string> tensors;
  std::vector<double> losses;
  for (const int threads : {1, 2, 3}) {
    TrainOptions options = w.options(w.new_out());
    options.threads = threads;
    losses.push_back(train::train(w.config, options).val_loss);
    tensors.push_back(newest_tensors(options.out));
  }
  REQUIRE(tensors[0].size() > 3 * 4 * 2 * 12 * 96 * 96);
  REQUIRE((tensors[1] == tensors[0] && tensors[2] == tensors[0]));
  REQUIRE((losses[1] == losses[0] && losses[2] == losses[0]));
}

TEST_CASE("blocks that are computed again give the same bits in less memory") {
  Workshop w;
  w.config.model.layers = 5;
  w.config.train.dropout = 0.2;
  w.config.train.precision = GENERATE("f32", "bf16");
  if (w.config.train.precision == "bf16") w.config.model.mlp = "swiglu", w.config.model.qk_norm = true;
  const TrainOptions keeping = w.options(w.new_out()), again = w.options(w.new_out());
  const TrainResult kept = train::train(w.config, keeping);
  const auto activations = [&] {
    model::RunConfig full = w.config;
    model::resolve(full, 8);
    return plan_memory(full, keeping.kernels, 1).model.activations;
  };
  const std::size_t all = activations();
  w.config.train.recompute = "blocks";
  REQUIRE(train::train(w.config, again).val_loss == kept.val_loss);
  REQUIRE(newest_tensors(again.out) == newest_tensors(keeping.out));
  REQUIRE(activations() < 0.5 * static_cast<double>(all));  // of five blocks one, and the stream
}

TEST_CASE("a run learns, and its record says what it was") {
  Workshop w;
  w.config.train.steps = 60;
  const TrainOptions options = w.options(w.new_out());
  const TrainResult result = train::train(w.config, options);
  REQUIRE(result.status == Status::done);
  REQUIRE(result.val_loss < 1.7);  // log(8) = 2.08 untrained; two letters of each word follow from its first
  const auto events = comparable_record(options.out);
  REQUIRE(events.front().at("event") == "config");
  REQUIRE(events.front().at("config").at("model").at("width") == 16);
  REQUIRE(events.back().at("event") == "end");
  for (const char* key : {"status", "val_loss", "epochs", "flops_kaplan", "flops_6nd", "flops_math",
                          "flops_mfu", "n_nonemb", "n_matrix", "n_total", "isa", "train_loss", "tokens"}) {
    INFO(key);
    REQUIRE(events.back().contains(key));
  }
  REQUIRE(events.back().at("tokens") == 60 * 6 * 16);
  REQUIRE(events.back().at("n_nonemb") == 2 * 12 * 16 * 16);
  REQUIRE(std::count_if(events.begin(), events.end(),
                        [](const auto& e) { return e.at("event") == "step"; }) == 60);
  REQUIRE(model::read_config(options.out / "config.toml").train.steps == 60);
}

TEST_CASE("stopping after any step and resuming gives the bits and the record of the straight run") {
  Workshop w;
  const Path straight = w.new_out();
  train::train(w.config, w.options(straight));
  const std::string expected = newest_tensors(straight);
  const auto record = comparable_record(straight);
  for (Index stop = 0; stop < w.config.train.steps; ++stop) {
    const Path out = w.new_out();
    TrainOptions first = w.options(out);
    first.stop_requested = Workshop::stop_after(first, stop);
    const TrainResult stopped = train::train(w.config, first);
    INFO("stopped after step " << stop);
    REQUIRE(stopped.status == Status::checkpointed);
    REQUIRE(newest_tensors(out) != expected);
    TrainOptions second = w.options(out);
    second.resume = true;
    REQUIRE(train::train(w.config, second).status == Status::done);
    REQUIRE(newest_tensors(out) == expected);
    REQUIRE(comparable_record(out) == record);
  }
}

TEST_CASE("a stop inside a step that would take long gives it up, and the run resumes to the same bits") {
  Workshop w;
  w.config.train.micro_batch = 1;  // six passes a step
  w.config.train.steps = 4;
  w.config.eval.every = 0;
  const Path straight = w.new_out();
  train::train(w.config, w.options(straight));
  const std::string expected = newest_tensors(straight);
  const auto record = comparable_record(straight);
  const Index questions = w.config.train.steps * 6;  // before each pass, the first of a step included
  for (const bool patient : {false, true}) {
    for (Index stop = 1; stop <= questions; ++stop) {
      TrainOptions first = w.options(w.new_out());
      first.patience_seconds = patient ? 1e9 : 0;
      Index asked = 0;
      first.stop_requested = [&] { return ++asked >= stop; };
      INFO((patient ? "patient, " : "") << "stopped at question " << stop);
      const TrainResult stopped = train::train(w.config, first);
      const Index given_up = (stop - 1) / 6;
      const bool within = (stop - 1) % 6 > 0;
      const Index step = given_up + (patient && within ? 1 : 0);
      REQUIRE(stopped.status == Status::checkpointed);  // in the last evaluation when all steps were finished
      REQUIRE(stopped.end_event.at("tokens") == step * 6 * 16);
      REQUIRE((patient || asked == stop));
      TrainOptions second = w.options(first.out);
      second.resume = true;
      REQUIRE(train::train(w.config, second).status == Status::done);
      REQUIRE(newest_tensors(first.out) == expected);
      REQUIRE(comparable_record(first.out) == record);
    }
  }
}

TEST_CASE("resuming a finished run changes nothing") {
  Workshop w;
  TrainOptions options = w.options(w.new_out());
  const double loss = train::train(w.config, options).val_loss;
  const auto record = comparable_record(options.out);
  options.resume = true;
  REQUIRE(train::train(w.config, options).val_loss == loss);
  REQUIRE(comparable_record(options.out) == record);
}

TEST_CASE("the order of windows depends on the seed and on nothing else") {
  Workshop w;
  const data::TokenFile file = data::TokenFile::open(w.tokens);
  const auto first_windows = [&](const model::RunConfig& c) {
    const TrainState state(c, file, kernels::select_table("auto"), 1);
    std::vector<std::uint64_t> order;
    for (std::uint64_t i = 0; i < 50; ++i) order.push_back(state.batcher().window_at(i));
    return order;
  };
  model::RunConfig larger = w.config;
  larger.model.layers = 3;
  larger.train.batch = 12;
  model::RunConfig other = w.config;
  other.train.seed = 2;
  REQUIRE(first_windows(larger) == first_windows(w.config));
  REQUIRE(first_windows(other) != first_windows(w.config));
}

TEST_CASE("a folder that holds a run is not overwritten, and another run is not resumed") {
  Workshop w;
  TrainOptions options = w.options(w.new_out());
  train::train(w.config, options);
  REQUIRE_THROWS_WITH(train::train(w.config, options), Contains("already holds a run"));
  options.resume = true;
  w.config.train.lr = 0.5;
  REQUIRE_THROWS_WITH(train::train(w.config, options), Contains("train.lr (there 0.01, here 0.5)"));
  REQUIRE_THROWS_AS(train::train(w.config, options), UsageError);
}

TEST_CASE("a folder that holds a run is refused before its data is read, even when its record is gone") {
  Workshop w;
  const TrainOptions options = w.options(w.new_out());
  train::train(w.config, options);
  w.config.data.path = "/nonexistent.tok";
  REQUIRE_THROWS_WITH(train::train(w.config, options), Contains("already holds a run"));
  std::filesystem::remove(options.out / "record.jsonl");
  REQUIRE_THROWS_WITH(train::train(w.config, options), Contains("already holds a run"));
}

TEST_CASE("a run goes on with the threads that it chose for itself, or with those that it is given") {
  Workshop w;
  TrainOptions options = w.options(w.new_out());
  std::vector<int> threads;
  options.stop_requested = Workshop::stop_after(options, 3);
  train::train(w.config, options);  // one thread
  options.stop_requested = {};
  options.resume = true;
  options.threads = 3;
  options.on_progress = [&](const Progress& p) { threads.push_back(p.threads); };
  SECTION("chosen") {
    options.fewer_threads = true;
    train::train(w.config, options);
    REQUIRE(threads.back() == 1);
  }
  SECTION("given") {
    train::train(w.config, options);
    REQUIRE(threads.back() == 3);
  }
}

TEST_CASE("checkpoints along the way stay where that is asked for, and change nothing") {
  Workshop w;
  w.config.train.checkpoint_every = 0;
  const Path plain = w.new_out(), kept = w.new_out();
  const TrainResult without = train::train(w.config, w.options(plain));
  w.config.train.keep_every = 3;
  const TrainResult with = train::train(w.config, w.options(kept));
  CHECK(with.val_loss == without.val_loss);
  CHECK(model::CheckpointFolder(real_file_system(), kept / "checkpoints").steps() ==
        std::vector<model::Index>{3, 6, 9, 12});
  CHECK(model::CheckpointFolder(real_file_system(), plain / "checkpoints").steps() ==
        std::vector<model::Index>{12});
}

TEST_CASE("divergence is a result: noticed in its step, parameters untouched, last good checkpoint kept") {
  Workshop w;
  w.config.train.lr = 1e6;
  w.config.train.min_lr = 1e6;
  w.config.train.weight_decay = 1e3;  // weights grow by a factor of 1e9 a step
  w.config.train.checkpoint_every = 1;
  w.config.train.steps = 50;
  w.config.eval.every = 0;
  const TrainOptions options = w.options(w.new_out());
  const TrainResult result = train::train(w.config, options);
  REQUIRE(result.status == Status::diverged);
  const auto events = comparable_record(options.out);
  REQUIRE(events.back().at("status") == "diverged");
  REQUIRE_FALSE(events.back().contains("val_loss"));
  const auto& last_step = events[events.size() - 2];
  REQUIRE(last_step.at("event") == "step");
  REQUIRE((last_step.at("train_loss").is_string() || last_step.at("gradient_norm").is_string()));
  REQUIRE(read_text(options.out / "record.jsonl").find("null") == std::string::npos);

  const data::TokenFile file = data::TokenFile::open(w.tokens);
  TrainState state(w.config, file, options.kernels, 1);
  const model::CheckpointFolder checkpoints(real_file_system(), options.out / "checkpoints");
  const Index good = checkpoints.newest()->step;
  REQUIRE(last_step.at("step") == good + 1);
  checkpoints.load(good, state.tensors());
  const std::vector<float> before(state.gpt().values().begin(), state.gpt().values().end());
  for (const float value : before) REQUIRE(std::isfinite(value));
  REQUIRE_FALSE(state.step(good, good * w.config.train.batch)->finite);
  const std::span<float> after = state.gpt().values();
  REQUIRE(std::equal(before.begin(), before.end(), after.begin(), after.end()));
}

TEST_CASE("F3: a run goes on with the same bits after a power cut at any point") {
  Workshop w;
  const Path straight = w.new_out();
  train::train(w.config, w.options(straight));
  const std::string expected = newest_tensors(straight);
  const auto record = comparable_record(straight);

  const Path root = w.folder.path() / "recorded";
  std::filesystem::create_directories(root);
  RecordingFileSystem fs(root);
  TrainOptions options = {
      .kernels = kernels::select_table("auto"), .threads = 1, .out = root / "run", .fs = fs};
  train::train(w.config, options);
  for (std::size_t prefix = 0; prefix <= fs.length(); ++prefix) {
    const TemporaryFolder disk;
    fs.after_power_cut(prefix, Rng(7, prefix)).write_to(disk.path());
    TrainOptions resumed = w.options(disk.path() / "run");
    resumed.resume = true;
    INFO("prefix " << prefix);
    REQUIRE(train::train(w.config, resumed).status == Status::done);
    REQUIRE(newest_tensors(resumed.out) == expected);
    REQUIRE(comparable_record(resumed.out) == record);
  }
}

TEST_CASE("F4: whichever call fails, the run says so and can be resumed to the same bits") {
  Workshop w;
  const Path straight = w.new_out();
  train::train(w.config, w.options(straight));
  const std::string expected = newest_tensors(straight);
  int failures = 0;
  for (int k = 0;; ++k) {
    FailingFileSystem fs(k);
    const Path out = w.new_out();
    try {
      train::train(w.config, {.kernels = kernels::select_table("auto"), .threads = 1, .out = out, .fs = fs});
    } catch (const IoError& error) {
      REQUIRE_THAT(error.what(), Contains(out.native()));
    }
    if (!fs.failed()) break;
    ++failures;
    TrainOptions resumed = w.options(out);
    resumed.resume = true;
    INFO("call " << k);
    REQUIRE(train::train(w.config, resumed).status == Status::done);
    REQUIRE(newest_tensors(out) == expected);
  }
  REQUIRE(failures > 40);
}

TEST_CASE("F16: data that shrinks under a running trainer is an error, not a crash") {
  Workshop w;
  TrainOptions options = w.options(w.new_out());
  options.on_progress = [&](const Progress& p) {
    if (p.step == 7) std::filesystem::resize_file(w.tokens, 4096);
  };
  REQUIRE_THROWS_WITH(train::train(w.config, options), Contains("shrank") && Contains("t.tok"));
}

TEST_CASE("a bench writes nothing and measures something") {
  Workshop w;
  const data::TokenFile file = data::TokenFile::open(w.tokens);
  const BenchResult r = bench_steps(w.config, file, kernels::select_table("auto"), 1, 3);
  REQUIRE(r.seconds_per_step > 0);
  REQUIRE(r.tokens_per_s == Approx(96 / r.seconds_per_step));
  REQUIRE(std::distance(std::filesystem::directory_iterator(w.folder.path()), {}) == 1);
}

TEST_CASE("only the run that was planned is trained") {
  Workshop w;
  const data::TokenFile file = data::TokenFile::open(w.tokens);
  TrainOptions options = w.options(w.new_out());
  model::resolve(w.config, w.config.model.vocab);
  options.expected = ExpectedRun{run_identity(w.config, file), file.checksum_text()};
  const Path other = w.folder.path() / "other.tok";
  data::TokenWriter writer(real_file_system(), other, 1);
  writer.begin_source("other");
  writer.append(std::vector<data::Token>(20000, 3));
  writer.finish(8, {{"line_end", 7}});
  model::RunConfig config = w.config;
  config.data.path = other.string();
  REQUIRE_THROWS_WITH(train::train(config, options),
                      Contains(file.checksum_text()) && Contains("other.tok") &&
                          Contains(data::TokenFile::open(other).checksum_text()));
  config = w.config;
  config.train.seed = 99;
  REQUIRE_THROWS_AS(train::train(config, options), InputError);
  REQUIRE_FALSE(std::filesystem::exists(options.out));
  REQUIRE(train::train(w.config, options).status == Status::done);
}

TEST_CASE("a run goes on with the instruction-set row that it began with, or not at all") {
  Workshop w;
  const kernels::KernelTable& scalar = kernels::select_table("scalar");
  const auto run = [&](const kernels::KernelTable& table, const Path& out, Index stop) {
    TrainOptions options{
        .kernels = table, .threads = 1, .out = out, .resume = true, .fs = unsynced_file_system()};
    options.stop_requested = Workshop::stop_after(options, stop);
    return train::train(w.config, options).status;
  };
  const Path out = w.new_out();
  REQUIRE(row_of_run(out).empty());
  REQUIRE(run(scalar, out, 3) == Status::checkpointed);
  REQUIRE(row_of_run(out) == "scalar");
  const kernels::KernelTable& best = kernels::select_table("auto");
  if (&best != &scalar) {
    REQUIRE_THROWS_AS(run(best, out, 100), UsageError);
    REQUIRE_THROWS_WITH(run(best, out, 100), Contains("scalar") && Contains(std::string(best.float32)));
  }
  REQUIRE(run(scalar, out, 100) == Status::done);
}

TEST_CASE("one folder is trained in by one process") {
  Workshop w;
  const TrainOptions options = w.options(w.new_out());
  std::filesystem::create_directories(options.out);
  {
    const FolderLock held(options.out);
    try {
      train::train(w.config, options);
      FAIL("two trainers in one folder");
    } catch (const Error& error) {
      REQUIRE(error.exit_code == Exit::store_busy);
      REQUIRE_THAT(error.what(), Contains("another process"));
    }
    REQUIRE(std::filesystem::is_empty(options.out));
  }
  REQUIRE(train::train(w.config, options).status == Status::done);
}

TEST_CASE("another run is not overwritten even when it has no checkpoint yet") {
  Workshop w;
  TrainOptions options = w.options(w.new_out());
  train::train(w.config, options);
  std::filesystem::remove_all(options.out / "checkpoints");
  const std::string record = read_text(options.out / "record.jsonl");
  options.resume = true;
  model::RunConfig other = w.config;
  other.train.lr = 0.5;
  REQUIRE_THROWS_WITH(train::train(other, options), Contains("train.lr (there 0.01, here 0.5)"));
  REQUIRE(read_text(options.out / "record.jsonl") == record);
  REQUIRE(model::read_config(options.out / "config.toml").train.lr == w.config.train.lr);
  REQUIRE(train::train(w.config, options).status == Status::done);
}

TEST_CASE("a folder that is moved away ends the run, and is not made again") {
  for (const Index record_every : {1, 1000}) {  // with and without events that wait to be written
    Workshop w;
    w.config.train.record_every = record_every;
    w.config.eval.every = 6;  // after which nothing waits to be written
    TrainOptions options = w.options(w.new_out());
    const Path taken = w.folder.path() / "taken";
    options.on_progress = [&](const Progress& p) {
      if (p.step == 7 && !std::filesystem::exists(taken)) std::filesystem::rename(options.out, taken);
    };
    REQUIRE_THROWS_AS(train::train(w.config, options), IoError);
    REQUIRE_FALSE(std::filesystem::exists(options.out));
  }
}

TEST_CASE("a parameter that overflows is divergence in its own step and reaches no checkpoint") {
  Workshop w;
  w.config.model.vocab = 16;  // twice the data's: half of the embedding is read by no loss
  w.config.model.tied = false;
  w.config.train.weight_decay = 1e3;  // a step multiplies what has no gradient by 1 - 10
  w.config.train.warmup = 0;
  w.config.train.checkpoint_every = 1;
  w.config.eval.every = 0;
  TrainOptions options = w.options(w.new_out());
  options.stop_requested = Workshop::stop_after(options, 1);
  REQUIRE(train::train(w.config, options).status == Status::checkpointed);

  const data::TokenFile file = data::TokenFile::open(w.tokens);
  TrainState state(w.config, file, options.kernels, 1);
  const model::CheckpointFolder checkpoints(real_file_system(), options.out / "checkpoints");
  const model::CheckpointState saved = *checkpoints.newest();
  REQUIRE(saved.step == 1);
  std::vector<model::CheckpointTensor> tensors = state.tensors();
  checkpoints.load(1, tensors);
  REQUIRE(tensors[0].rows == 16);
  tensors[0].values[15 * 16] = 3e38f;
  checkpoints.save(saved, tensors);

  TrainOptions resumed = w.options(options.out);
  resumed.resume = true;
  const TrainResult result = train::train(w.config, resumed);
  REQUIRE(result.status == Status::diverged);
  REQUIRE(result.end_event.at("tokens") == 2 * 6 * 16);
  REQUIRE(checkpoints.newest()->step == 1);
}
