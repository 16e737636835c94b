#include "train/trainer.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/stats.hpp"
#include "data/bigram.hpp"
#include "kernels/table.hpp"
#include "model/count.hpp"
#include "train/evaluate.hpp"
#include "train/train_state.hpp"

namespace loglog::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

RunConfig resolved(RunConfig config, const data::TokenFile& file) {
  model::resolve(config, static_cast<Index>(file.vocab_size()));
  return config;
}

// Names the first key in which two configurations of one run differ.
[[noreturn]] void refuse_other_run(const Path& out, const RunConfig& mine, const RunConfig& theirs) {
  std::vector<std::string> values;
  model::visit(theirs,
               [&](const model::ConfigKey&, const auto& v) { values.push_back(fmt::format("{}", v)); });
  std::string difference = "the data";
  std::size_t i = 0;
  model::visit(mine, [&](const model::ConfigKey& key, const auto& v) {
    const std::string text = fmt::format("{}", v);
    if (key.changes_result && text != values[i] && difference == "the data") {
      difference = fmt::format("{} (there {}, here {})", key.name, values[i], text);
    }
    ++i;
  });
  throw UsageError(fmt::format("'{}' holds another run: they differ in {}; choose another --out",
                               out.native(), difference));
}

void require_expected(const ExpectedRun& expected, const RunConfig& config, const data::TokenFile& file) {
  if (run_identity(config, file) == expected.identity) return;
  if (file.checksum_text() != expected.data_checksum) {
    throw InputError(
        fmt::format("'{}' holds other data than this run was planned for: its checksum is {}, planned {}",
                    file.path().native(), file.checksum_text(), expected.data_checksum));
  }
  throw InputError(fmt::format(
      "the configuration of this run is not the one that it was planned with: it is run {}, planned {}",
      run_identity(config, file), expected.identity));
}

// The config event of a record, if that begins with one: a run that died at its very start leaves an empty record, or
// half a line.
Json recorded_start(const Path& record) {
  if (!path_exists(record)) return {};
  const std::string text = read_text(record);
  Json event = Json::parse(std::string_view(text).substr(0, text.find('\n')), nullptr, false);
  const bool complete = event.is_object() && event.contains("identity") && event.contains("config");
  return complete ? event : Json();
}

// The loop and what it needs from one step to the next.
class Run {
 public:
  Run(const RunConfig& config, const data::TokenFile& file, const TrainOptions& options)
      : config_(config),
        file_(file),
        options_(options),
        checkpoints_(options.fs, options.out / "checkpoints"),
        identity_(run_identity(config, file)),
        start_(find_start()),
        state_(config, file, options.kernels, options.threads),
        record_(options.fs, options.out / "record.jsonl", start_.record_bytes),
        flops_(model::count_flops_per_token(config.model)) {
    if (file.bytes_per_token() > 0)
      bigram_entropy_ = data::bigram_entropy(state_.sample(), file.vocab_size());
    checkpoints_.create();
    if (start_.step > 0 || start_.record_bytes > 0) {
      checkpoints_.load(start_.step, state_.tensors());
      saved_step_ = start_.step;
      last_.loss = start_.train_loss;
      record_.add("checkpoint", start_.step, position(start_.step));
    } else {
      record_.add("config", 0, config_event());
      record_.flush();
    }
  }

  TrainResult loop() {
    for (Index step = start_.step;; ++step) {
      const bool last = step == config_.train.steps;
      const bool stop = !last && stop_requested();
      if (stop || last || due(config_.train.checkpoint_every, step)) checkpoint(step);
      if (stop) return finish(Status::checkpointed, step);
      if (last || due(config_.eval.every, step)) {
        if (!evaluate_at(step)) {  // broken off, as a step below: the parameters are still those of `step`
          checkpoint(step);
          return finish(Status::checkpointed, step);
        }
      }
      if (last) return finish(std::isfinite(val_loss_) ? Status::done : Status::diverged, step);
      switch (take_step(step)) {
        case Step::taken:
          break;
        case Step::diverged:
          return finish(Status::diverged, step + 1);
        case Step::given_up:
          checkpoint(step);
          return finish(Status::checkpointed, step);
      }
    }
  }

 private:
  static bool due(Index every, Index step) { return every > 0 && step > 0 && step % every == 0; }
  bool stop_requested() const { return options_.stop_requested && options_.stop_requested(); }
  double seconds() const { return start_.seconds + seconds_since(began_); }

  model::CheckpointState find_start() const {
    if (!options_.resume) return {};
    const auto newest = checkpoints_.newest();
    if (!newest) {
      const Path record = options_.out / "record.jsonl";
      const Json begun = recorded_start(record);
      if (begun.is_object() && begun["identity"] != identity_)
        refuse_other_run(options_.out, config_, model::from_json(begun["config"].dump(), record.native()));
      return {};
    }
    if (newest->identity != identity_) refuse_other_run(options_.out, config_, newest->config);
    if (newest->isa != options_.kernels.float32) {
      throw UsageError(
          fmt::format("the run in '{}' was trained with --isa {} so far, not {}: rows differ in the last "
                      "bits, go on with {}",
                      options_.out.native(), newest->isa, options_.kernels.float32, newest->isa));
    }
    return *newest;
  }

  Index tokens_after(Index steps) const { return steps * config_.train.batch * config_.model.context; }

  Json position(Index step) const { return {{"tokens", tokens_after(step)}}; }

  Json config_event() const {
    Json event = position(0);
    event["identity"] = identity_;
    event["config"] = Json::parse(model::to_json(config_));
    event["data"] = {{"checksum", file_.checksum_text()},
                     {"tokens", file_.size()},
                     {"tokens_per_epoch", state_.batcher().tokens_per_epoch()},
                     {"validation_tokens", state_.sample().tokens()},
                     {"validation_blocks", state_.sample().blocks()},
                     {"bytes_per_token", file_.bytes_per_token()}};
    if (bigram_entropy_) event["data"]["bigram_entropy"] = *bigram_entropy_;
    event["isa"] = options_.kernels.float32;
    event["threads"] = options_.threads;
    event["memory_bytes"] = plan_memory(config_, options_.kernels, options_.threads).total();
    return event;
  }

  enum class Step { taken, diverged, given_up };

  Step take_step(Index step) {
    const auto begin = Clock::now();
    const auto would_take_too_long = [&](double share) {
      return stop_requested() && seconds_since(begin) * (1 - share) / share > options_.patience_seconds;
    };
    const std::optional<StepResult> result = state_.step(step, would_take_too_long);
    if (!result) return Step::given_up;
    last_ = *result;
    train_seconds_ += seconds_since(begin);
    ++steps_here_;
    if (last_.finite && (step + 1) % config_.train.record_every != 0) {
      report(step + 1);
      return Step::taken;
    }
    Json event = position(step + 1);
    event["train_loss"] = number(last_.loss);
    event["lr"] = last_.lr;
    event["gradient_norm"] = number(last_.gradient_norm);
    record_.add("step", step + 1, event);
    report(step + 1);
    return last_.finite ? Step::taken : Step::diverged;
  }

  bool evaluate_at(Index step) {
    kernels::ExecContext ctx = state_.context();
    const auto result = evaluate(ctx, state_.gpt(), state_.sample(), file_.sources(), state_.buffers(),
                                 options_.stop_requested);
    if (!result) return false;
    val_loss_ = result->loss;
    source_losses_ = Json::object();
    for (const SourceLoss& source : result->sources) source_losses_[source.name] = number(source.loss);
    Json event = position(step);
    event["val_loss"] = number(result->loss);
    add_bits_per_byte(event);
    for (const SourceLoss& source : result->sources) {
      event["sources"].push_back(
          {{"name", source.name}, {"tokens", source.tokens}, {"val_loss", number(source.loss)}});
    }
    record_.add("eval", step, event);
    record_.flush();
    report(step);
    return true;
  }

  // The record is safe on disk before the checkpoint that quotes its length.
  void checkpoint(Index step) {
    if (saved_step_ == step) return;
    record_.flush();
    model::CheckpointState state;
    state.step = step;
    state.windows = state_.windows_after(step);
    state.seconds = seconds();
    state.train_seconds = start_.train_seconds + train_seconds_;
    state.train_loss = last_.loss;
    state.record_bytes = record_.bytes();
    state.identity = identity_;
    state.isa = options_.kernels.float32;
    state.config = config_;
    checkpoints_.save(state, state_.tensors());
    saved_step_ = step;
    record_.add("checkpoint", step, position(step));
  }

  void add_bits_per_byte(Json& event) const {
    if (file_.bytes_per_token() <= 0) return;  // tokens that stand for no text
    event["bits_per_byte"] = number(val_loss_ / std::numbers::ln2 / file_.bytes_per_token());
  }

  Json end_event(Status status, Index step) const {
    const auto tokens = static_cast<double>(tokens_after(step));
    const model::ParameterCounts n = model::count_parameters(config_.model);
    const double train_seconds = start_.train_seconds + train_seconds_;
    Json event = position(step);
    event["status"] = status_name(status);
    if (step > 0) event["train_loss"] = number(last_.loss);
    if (status == Status::done) {
      event["val_loss"] = number(val_loss_);
      add_bits_per_byte(event);
      event["sources"] = source_losses_;
    }
    event["seconds"] = seconds();
    event["train_seconds"] = train_seconds;
    event["tokens_per_s"] = train_seconds > 0 ? tokens / train_seconds : 0.0;
    if (bigram_entropy_) event["bigram_entropy"] = *bigram_entropy_;
    event["epochs"] = state_.batcher().epochs(static_cast<std::uint64_t>(state_.windows_after(step)));
    event["flops_kaplan"] = flops_.kaplan * tokens;
    event["flops_6nd"] = flops_.n6d * tokens;
    event["flops_math"] = flops_.math * tokens;
    event["flops_mfu"] = flops_.mfu * tokens;
    event["n_nonemb"] = n.n_nonemb;
    event["n_matrix"] = n.n_matrix;
    event["n_total"] = n.n_total;
    event["isa"] = options_.kernels.float32;
    event["threads"] = options_.threads;
    event["resident_bytes"] = resident_memory();
    event["peak_bytes"] = peak_memory();
    event["binary"] = options_.binary_hash;
    return event;
  }

  // A stopped run has no end event: it has not ended.
  TrainResult finish(Status status, Index step) {
    const double loss = status == Status::done ? val_loss_ : kNaN;
    TrainResult result{status, loss, end_event(status, step)};
    if (saved_step_ >= 0) result.saved_step = saved_step_;
    if (status != Status::checkpointed) record_.add("end", step, result.end_event);
    record_.flush();
    return result;
  }

  void report(Index step) const {
    if (!options_.on_progress) return;
    const double rate = static_cast<double>(tokens_after(steps_here_)) / std::max(train_seconds_, 1e-9);
    options_.on_progress(
        {.step = step,
         .steps = config_.train.steps,
         .train_loss = steps_here_ > 0 ? last_.loss : kNaN,
         .val_loss = val_loss_,
         .lr = last_.lr,
         .tokens_per_s = rate,
         .flops_per_s = rate * flops_.mfu,
         .seconds_left = static_cast<double>(tokens_after(config_.train.steps - step)) / rate});
  }

  const RunConfig& config_;
  const data::TokenFile& file_;
  const TrainOptions& options_;
  Clock::time_point began_ = Clock::now();
  model::CheckpointFolder checkpoints_;
  std::string identity_;
  model::CheckpointState start_;  // where this process took over
  TrainState state_;
  RunRecord record_;
  model::FlopCounts flops_;
  std::optional<double> bigram_entropy_;  // of the validation sample; text alone has one
  StepResult last_;
  double val_loss_ = kNaN;
  Json source_losses_;        // {name: loss} of the last evaluation
  double train_seconds_ = 0;  // in this process
  Index steps_here_ = 0;      // in this process
  Index saved_step_ = -1;
};

}  // namespace

std::string_view status_name(Status status) {
  switch (status) {
    case Status::done:
      return "done";
    case Status::diverged:
      return "diverged";
    case Status::checkpointed:
      return "checkpointed";
  }
  return "";
}

std::string run_identity(const RunConfig& config, const data::TokenFile& file) {
  return model::identity(config, file.checksum_text());
}

TrainResult train(const RunConfig& config, const TrainOptions& options) {
  LOGLOG_CHECK(options.threads >= 1, "{} threads", options.threads);
  const data::TokenFile file = data::TokenFile::open(config.data.path);
  const RunConfig full = resolved(config, file);
  if (options.expected) require_expected(*options.expected, full, file);
  if (!options.resume && path_exists(options.out / "record.jsonl")) {
    throw UsageError(fmt::format("'{}' already holds a run: --resume continues it", options.out.native()));
  }
  const RunMemory plan = plan_memory(full, options.kernels, options.threads);
  const std::size_t available = available_memory();
  if (options.on_plan) options.on_plan(plan, available);
  require_memory(plan, available);
  options.fs.create_directories(options.out);
  std::optional<FolderLock> lock;
  if (options.exclusive) lock.emplace(options.out);
  Run run(full, file, options);
  write_atomically(options.fs, options.out / "config.toml", model::to_toml(full));
  return run.loop();
}

BenchResult bench_steps(const RunConfig& config, const kernels::KernelTable& table, int threads,
                        Index steps) {
  constexpr Index kWarmUp = 2;  // first touch of memory, caches, the thread team
  const data::TokenFile file = data::TokenFile::open(config.data.path);
  RunConfig full = resolved(config, file);
  full.train.steps = steps + kWarmUp;
  require_memory(plan_memory(full, table, threads), available_memory());
  TrainState state(full, file, table, threads);
  std::vector<double> times;
  for (Index step = 0; step < full.train.steps; ++step) {
    const auto begin = Clock::now();
    state.step(step);
    if (step >= kWarmUp) times.push_back(seconds_since(begin));
  }
  BenchResult result;
  result.seconds_per_step = median(times);
  result.tokens_per_s = static_cast<double>(full.train.batch * full.model.context) / result.seconds_per_step;
  result.flops_per_s = result.tokens_per_s * model::count_flops_per_token(full.model).mfu;
  return result;
}

}  // namespace loglog::train
