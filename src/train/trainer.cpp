#include "train/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/json_text.hpp"
#include "data/bigram.hpp"
#include "kernels/table.hpp"
#include "model/batch_size.hpp"
#include "model/count.hpp"
#include "train/bench.hpp"
#include "train/fastest_threads.hpp"
#include "train/noise_scale.hpp"
#include "train/spike.hpp"

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
  const std::string difference =
      model::first_difference(mine, theirs, [](const model::ConfigKey& key) { return key.changes_result; });
  throw UsageError(fmt::format("'{}' holds another run: they differ in {}; choose another --out",
                               out.native(), difference.empty() ? "the data" : difference));
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

Path record_of(const Path& out) {
  return out / "record.jsonl";
}

// After so many, trouble is not the data's.
constexpr Index kMostSpikes = 20;

// The loop and what it needs from one step to the next.
class Run {
 public:
  Run(const RunConfig& config, const data::TokenFile& file, const TrainOptions& options)
      : config_(config),
        options_(options),
        checkpoints_(options.fs, options.out / model::kCheckpointFolder),
        rollbacks_(options.fs, options.out / kRollbackFolder),
        facts_{config,
               file,
               run_identity(config, file),
               options.kernels,
               options.threads,
               options.binary_hash,
               std::nullopt},
        start_(find_start()),
        position_(start_.value_or(RunPosition{})),
        state_(config, file, options.kernels, options.threads),
        record_(options.fs, record_of(options.out), position_.record_bytes) {
    if (file.bytes_per_token() > 0)
      facts_.bigram_entropy = data::bigram_entropy(state_.sample(), file.vocab_size());
    position_.identity = facts_.identity;
    position_.isa = options.kernels.float32;
    position_.config = config;
    checkpoints_.create();
    const bool forks = !start_ && !config.fork.parent.empty();
    if (start_) state_.load(checkpoints_, start_->step);
    if (forks) take_over_parent();
    if (config.train.spike > 0) prepare_rollbacks();
    remember();
    count_what_was_drawn();
    if (start_) {
      saved_step_ = start_->step;
      add_event("checkpoint");
    } else {
      add_event("config", config_event(facts_, state_));
      record_.flush();
    }
    if (forks) checkpoint();  // its parent is not needed any more
  }

  TrainResult loop() {
    for (;;) {
      const Index step = position_.step;
      const bool last = step == config_.train.steps;
      const bool stop = !last && stop_requested();
      if (stop || last || due(config_.train.checkpoint_every) || due(config_.train.keep_every) ||
          is_kept(step))
        checkpoint();
      if (stop) return finish(Status::checkpointed);
      if (config_.train.spike > 0 && !last) keep_for_rollback();
      if (last || due(config_.eval.every)) {
        if (!evaluate_now()) {  // broken off, as a step below: the parameters are still those of `step`
          checkpoint();
          return finish(Status::checkpointed);
        }
      }
      if (last) return finish(std::isfinite(evaluation_->loss) ? Status::done : Status::diverged);
      switch (take_step()) {
        case Step::taken:
          break;
        case Step::diverged:
          return finish(Status::diverged);
        case Step::given_up:
          checkpoint();
          return finish(Status::checkpointed);
      }
    }
  }

 private:
  bool due(Index every) const { return every > 0 && position_.step > 0 && position_.step % every == 0; }
  bool stop_requested() const { return options_.stop_requested && options_.stop_requested(); }

  std::optional<RunPosition> find_start() const {
    std::optional<RunPosition> newest = options_.resume ? checkpoints_.newest() : std::nullopt;
    if (!newest) {
      const Path record = record_of(options_.out);
      const Json begun = recorded_start(record);
      if (begun.is_object() && begun["identity"] != facts_.identity)
        refuse_other_run(options_.out, config_, model::from_json(begun["config"].dump(), record.native()));
      return std::nullopt;
    }
    if (newest->identity != facts_.identity) refuse_other_run(options_.out, config_, newest->config);
    if (newest->isa != options_.kernels.float32) {
      throw UsageError(
          fmt::format("the run in '{}' was trained with --isa {} so far, not {}: rows differ in the last "
                      "bits, go on with {}",
                      options_.out.native(), newest->isa, options_.kernels.float32, newest->isa));
    }
    return newest;
  }

  // The parent's parameters; and, unless the fork begins anew, its moments, steps and place in the data.
  void take_over_parent() {
    const ForkOrigin& origin = *options_.fork;
    if (config_.fork.restart) return model::load_parameters(origin.model, state_.gpt());
    const RunPosition& parent = *origin.state;
    state_.load(model::CheckpointFolder(options_.fs, origin.checkpoints), parent.step);
    position_.step = parent.step;
    position_.windows = parent.windows;
    position_.tokens = position_.parent_tokens = parent.tokens;
    position_.source_windows = parent.source_windows;
    position_.train_loss = parent.train_loss;
    position_.recent_losses = parent.recent_losses;
    position_.noise_sums = parent.noise_sums;
  }

  // States behind the place where this process takes over are of a process that died; a new run has none at all.
  void prepare_rollbacks() {
    rollbacks_.create();
    rollbacks_.drop_after(start_ ? start_->step : -1);
    const std::optional<Index> last = rollbacks_.last_until(position_.step);
    if (!last || rollbacks_.at(*last).identity == facts_.identity) return;
    throw InputError(fmt::format("'{}' holds states of another run: remove it",
                                 (options_.out / kRollbackFolder).native()));
  }

  void count_what_was_drawn() {
    const std::size_t sources = facts_.file.sources().size();
    if (position_.source_windows.size() == sources) return;
    position_.source_windows.assign(sources, 0);
    state_.batcher().count_sources(0, static_cast<std::uint64_t>(position_.windows),
                                   position_.source_windows);
  }

  void add_event(std::string_view event, const Json& fields = Json::object()) {
    Json all = {{"tokens", position_.tokens}};
    all.update(fields);
    record_.add(event, position_.step, all);
  }

  enum class Step { taken, diverged, given_up };

  Step take_step() {
    const auto begin = Clock::now();
    const auto would_take_too_long = [&](double share) {
      return stop_requested() && seconds_since(begin) * (1 - share) / share > options_.patience_seconds;
    };
    const std::optional<StepResult> result =
        state_.step(position_.step, position_.windows, would_take_too_long);
    if (!result) return Step::given_up;
    if (position_.spikes < kMostSpikes && spikes_.is_spike(result->finite ? result->loss : kNaN)) {
      undo(*result);
      return Step::taken;
    }
    advance(*result, seconds_since(begin));
    if (!result->finite || position_.step % config_.train.record_every == 0) {
      Json event;
      event["train_loss"] = number(result->loss);
      event["lr"] = result->lr;
      event["gradient_norm"] = number(result->gradient_norm);
      if (result->small_norm) event["gradient_norm_micro"] = number(*result->small_norm);
      add_event("step", event);
    }
    report();
    return result->finite ? Step::taken : Step::diverged;
  }

  void advance(const StepResult& result, double step_seconds) {
    const Index context = config_.model.context;
    state_.batcher().count_sources(static_cast<std::uint64_t>(position_.windows),
                                   static_cast<std::uint64_t>(result.batch), position_.source_windows);
    position_.step += 1;
    position_.windows += result.batch;
    position_.tokens += result.batch * context;
    position_.train_loss = result.loss;
    position_.train_seconds += step_seconds;
    train_seconds_ += step_seconds;
    tokens_here_ += result.batch * context;
    last_lr_ = result.lr;
    if (result.finite && result.small_norm && result.small_targets < result.targets)
      noise_.add(*result.small_norm, result.small_targets, result.gradient_norm, result.targets);
    if (config_.train.spike > 0) spikes_.add(result.loss);
  }

  void keep_for_rollback() {
    const bool due = position_.step % config_.train.rollback_every == 0;
    if (!due && rollbacks_.last_until(position_.step)) return;
    settle();
    rollbacks_.save(position_, state_.tensors());
  }

  // Back to the last state that was kept, and on with the data behind the spike and what is skipped. Checkpoints from
  // between are of a run that did not go on like this.
  void undo(const StepResult& spike) {
    const Index to = rollbacks_.last_until(position_.step).value();
    const Index skipped = (1 + config_.train.spike_skip) * spike.batch;
    add_event("spike", {{"train_loss", number(spike.loss)}, {"back_to", to}, {"skipped_windows", skipped}});
    RunPosition kept = rollbacks_.at(to);
    state_.load(rollbacks_, to);
    kept.windows = position_.windows + skipped;
    kept.train_seconds = position_.train_seconds;
    kept.spikes = position_.spikes + 1;
    position_ = kept;
    remember();
    saved_step_ = -1;
    checkpoint();
    checkpoints_.drop_after(to);
    rollbacks_.save(position_, state_.tensors());
  }

  // What is judged by comes from the position, and goes back to it where that is saved.
  void remember() {
    spikes_ = SpikeDetector(config_.train.spike, position_.recent_losses);
    const auto& sums = position_.noise_sums;
    noise_ = NoiseScale(NoiseScale::Sums{sums[0], sums[1], sums[2]});
  }
  void settle() {
    position_.recent_losses = spikes_.recent();
    position_.noise_sums = {noise_.sums().signal, noise_.sums().noise, noise_.sums().weight};
    position_.seconds = (start_ ? start_->seconds : 0) + seconds_since(began_);
  }

  bool evaluate_now() {
    kernels::ExecContext ctx = state_.context();
    const auto result = eval::evaluate(ctx, state_.gpt(), state_.sample(), facts_.file.sources(),
                                       state_.buffers(), options_.stop_requested);
    if (!result) return false;
    evaluation_ = result;
    add_event("eval", eval_event(facts_, *result));
    record_.flush();
    report();
    return true;
  }

  bool is_kept(Index step) const { return std::ranges::find(kept_at_, step) != kept_at_.end(); }

  // The record is safe on disk before the checkpoint that quotes its length.
  void checkpoint() {
    if (saved_step_ == position_.step) return;
    record_.flush();
    settle();
    position_.record_bytes = record_.bytes();
    // This one too behind a spike, when later ones are still there.
    checkpoints_.save(position_, state_.tensors(),
                      {.step = position_.step, .every = config_.train.keep_every, .at = kept_at_});
    saved_step_ = position_.step;
    add_event("checkpoint");
  }

  // A stopped run has no end event: it has not ended.
  TrainResult finish(Status status) {
    settle();
    const double loss = status == Status::done ? evaluation_->loss : kNaN;
    Json end = {{"tokens", position_.tokens}};
    end.update(end_event(facts_, position_, state_, status, evaluation_));
    TrainResult result{status, loss, end};
    if (saved_step_ >= 0) result.saved_step = saved_step_;
    if (status != Status::checkpointed) add_event("end", end);
    record_.flush();
    return result;
  }

  void report() const {
    if (!options_.on_progress) return;
    const double rate = static_cast<double>(tokens_here_) / std::max(train_seconds_, 1e-9);
    const model::OptimConfig& t = config_.train;
    const Index windows_left = model::windows_before(t, t.steps) - model::windows_before(t, position_.step);
    options_.on_progress({.step = position_.step,
                          .steps = t.steps,
                          .train_loss = tokens_here_ > 0 ? position_.train_loss : kNaN,
                          .val_loss = evaluation_ ? evaluation_->loss : kNaN,
                          .lr = last_lr_,
                          .tokens_per_s = rate,
                          .flops_per_s = rate * model::count_flops_per_token(config_.model).mfu,
                          .seconds_left = static_cast<double>(windows_left * config_.model.context) / rate,
                          .threads = options_.threads});
  }

  const RunConfig& config_;
  const TrainOptions& options_;
  Clock::time_point began_ = Clock::now();
  model::CheckpointFolder checkpoints_;
  model::CheckpointFolder rollbacks_;  // states that a spike goes back to
  RunFacts facts_;
  std::optional<RunPosition> start_;  // where this process took over
  RunPosition position_;
  TrainState state_;
  RunRecord record_;
  SpikeDetector spikes_{0};
  NoiseScale noise_;
  std::optional<eval::Evaluation> evaluation_;  // the last one
  double last_lr_ = 0;
  double train_seconds_ = 0;  // in this process
  Index tokens_here_ = 0;     // in this process
  Index saved_step_ = -1;
  std::vector<Index> kept_at_ = model::steps_kept(config_.train.keep_at);
};

bool has_checkpoint(const TrainOptions& options) {
  return !model::CheckpointFolder(options.fs, options.out / model::kCheckpointFolder).empty();
}

// Before anything is read or measured. A fork that died before its first checkpoint has nothing that could be lost.
void require_free(const TrainOptions& options) {
  if (options.resume) return;
  const bool begun = path_exists(record_of(options.out));
  if (has_checkpoint(options) || (begun && !options.fork))
    throw UsageError(fmt::format("'{}' already holds a run: --resume continues it", options.out.native()));
}

// A fork has its parent's checkpoint at hand when it begins, and is the same run as its configuration says.
void check_fork(const RunConfig& config, const data::TokenFile& file, const TrainOptions& options) {
  if (config.fork.parent.empty()) return;
  if (options.fork) {
    require_fork(config, *options.fork, file, options.kernels.float32);
    if (options.on_note)
      for (const std::string& note : fork_notes(config, *options.fork, file)) options.on_note(note);
    return;
  }
  if (options.resume && has_checkpoint(options)) return;
  throw UsageError(fmt::format("fork.parent is '{}', but no checkpoint to begin from is given: --fork",
                               config.fork.parent));
}

int choose_threads(const RunConfig& config, const data::TokenFile& file, const TrainOptions& options) {
  if (!options.fewer_threads) return options.threads;
  const Json begun = recorded_start(record_of(options.out));
  if (begun.is_object()) return std::clamp(begun.value("threads", options.threads), 1, options.threads);
  const model::ForkConfig& fork = config.fork;
  return fastest_threads(
      config.train.steps - (fork.restart ? 0 : fork.step), options.threads, [&](int threads) {
        return bench_steps(config, file, options.kernels, threads, kStepsPerRate - kBenchWarmUp).tokens_per_s;
      });
}

}  // namespace

std::string run_identity(const RunConfig& config, const data::TokenFile& file) {
  return model::identity(config, file.checksum_text());
}

TrainResult train(const RunConfig& config, const TrainOptions& asked) {
  TrainOptions options = asked;
  LOGLOG_CHECK(options.threads >= 1, "{} threads", options.threads);
  require_free(options);
  const data::TokenFile file = data::TokenFile::open(config.data.path);
  const RunConfig full = resolved(config, file);
  if (options.expected) require_expected(*options.expected, full, file);
  check_fork(full, file, options);
  options.threads = choose_threads(full, file, options);
  const RunMemory plan = plan_memory(full, options.kernels, options.threads);
  const std::size_t available = available_memory();
  if (options.on_plan) options.on_plan(plan, available);
  require_memory(plan, available);
  const bool is_new = !path_exists(options.out);  // then a run that is refused leaves none
  options.fs.create_directories(options.out);
  std::optional<FolderLock> lock;
  if (options.exclusive) lock.emplace(options.out);
  std::optional<Run> run;
  try {
    run.emplace(full, file, options);
  } catch (...) {
    if (is_new && list_directory(options.out).empty()) options.fs.remove_all(options.out);
    throw;
  }
  write_atomically(options.fs, options.out / model::kConfigFile, model::to_toml(full));
  // So that the model can be used where its data is not.
  if (const Json meta = file.meta(); meta.contains("tokenizer"))
    write_atomically(options.fs, options.out / model::kCodecFile, json_text(meta["tokenizer"]) + "\n");
  return run->loop();
}

}  // namespace loglog::train
