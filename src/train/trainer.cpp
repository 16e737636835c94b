#include "train/trainer.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "data/bigram.hpp"
#include "kernels/table.hpp"
#include "model/batch_size.hpp"
#include "model/count.hpp"
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
  const std::vector<std::string> values = model::value_texts(theirs);
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

// After so many, trouble is not the data's.
constexpr Index kMostSpikes = 20;

// The loop and what it needs from one step to the next.
class Run {
 public:
  Run(const RunConfig& config, const data::TokenFile& file, const TrainOptions& options)
      : config_(config),
        options_(options),
        checkpoints_(options.fs, options.out / model::kCheckpointFolder),
        rollbacks_(options.fs, options.out / "rollback"),
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
        record_(options.fs, options.out / "record.jsonl", position_.record_bytes) {
    if (file.bytes_per_token() > 0)
      facts_.bigram_entropy = data::bigram_entropy(state_.sample(), file.vocab_size());
    position_.identity = facts_.identity;
    position_.isa = options.kernels.float32;
    position_.config = config;
    checkpoints_.create();
    if (config.train.spike > 0) rollbacks_.create();
    const bool forks = !start_ && !config.fork.parent.empty();
    if (start_) checkpoints_.load(start_->step, state_.tensors());
    if (forks) take_over_parent();
    remember();
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
      if (stop || last || due(config_.train.checkpoint_every)) checkpoint();
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
    if (!options_.resume) return std::nullopt;
    auto newest = checkpoints_.newest();
    if (!newest) {
      const Path record = options_.out / "record.jsonl";
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
    model::CheckpointFolder(options_.fs, origin.checkpoints).load(parent.step, state_.tensors());
    state_.tensors_changed();
    position_.step = parent.step;
    position_.windows = parent.windows;
    position_.tokens = parent.tokens;
    position_.train_loss = parent.train_loss;
    position_.recent_losses = parent.recent_losses;
    position_.noise_sums = parent.noise_sums;
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
    rollbacks_.load(to, state_.tensors());
    state_.tensors_changed();
    kept.windows = position_.windows + skipped;
    kept.train_seconds = position_.train_seconds;
    kept.spikes = position_.spikes + 1;
    position_ = kept;
    remember();
    checkpoints_.drop_after(to);
    saved_step_ = -1;
    checkpoint();
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

  // The record is safe on disk before the checkpoint that quotes its length.
  void checkpoint() {
    if (saved_step_ == position_.step) return;
    record_.flush();
    settle();
    position_.record_bytes = record_.bytes();
    checkpoints_.save(position_, state_.tensors());
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
                          .seconds_left = static_cast<double>(windows_left * config_.model.context) / rate});
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
};

// A fork has its parent's checkpoint at hand when it begins, and is the same run as its configuration says.
void require_fork(const RunConfig& config, const data::TokenFile& file, const TrainOptions& options) {
  const model::ForkConfig& fork = config.fork;
  if (fork.parent.empty()) return;
  if (!options.fork) {
    const model::CheckpointFolder own(options.fs, options.out / model::kCheckpointFolder);
    if (options.resume && own.last_until(config.train.steps)) return;
    throw UsageError(
        fmt::format("fork.parent is '{}', but no checkpoint to begin from is given: --fork", fork.parent));
  }
  const ForkOrigin& given = *options.fork;
  LOGLOG_CHECK(fork.parent == given.identity && fork.step == given.model.step,
               "fork of {} at {}, given {} at {}", fork.parent, fork.step, given.identity, given.model.step);
  if (fork.restart) return;
  if (!given.state) {
    throw UsageError(
        fmt::format("'{}' has parameters alone, no run to go on with: --restart begins anew with them",
                    given.model.tensors.native()));
  }
  const RunPosition& origin = *given.state;
  if (run_identity(origin.config, file) != origin.identity) {
    throw UsageError(
        fmt::format("'{}' is not what the parent was trained on: --restart begins anew with its parameters",
                    file.path().native()));
  }
  if (origin.isa != options.kernels.float32) {
    throw UsageError(fmt::format("the parent was trained with --isa {}, not {}: go on with {}", origin.isa,
                                 options.kernels.float32, origin.isa));
  }
  if (config.train.steps <= origin.step) {
    throw UsageError(fmt::format("the parent has {} steps behind it, train.steps is {}: it counts them too",
                                 origin.step, config.train.steps));
  }
}

}  // namespace

namespace {

ForkOrigin origin_of(const model::CheckpointFolder& folder, const Path& path, model::CheckpointState state) {
  const model::OpenedModel model{state.config, "", state.isa, state.step, folder.tensor_path(state.step)};
  return {model, state.identity, std::move(state), path};
}

}  // namespace

ForkOrigin find_fork_origin(FileSystem& fs, const Path& path) {
  if (path.extension() == ".json") {
    const Index step = model::step_of_manifest(path);
    const model::CheckpointFolder folder(fs, path.parent_path());
    return origin_of(folder, path.parent_path(), folder.at(step));
  }
  if (path_exists(path / model::kParameterFile)) {
    model::OpenedModel model = model::open_model(path);
    std::string identity = hash_hex_of_file(model.tensors);
    return {std::move(model), std::move(identity)};
  }
  const Path checkpoints = path / model::kCheckpointFolder;
  const model::CheckpointFolder folder(fs, checkpoints);
  auto newest = folder.newest();
  if (!newest) {
    throw InputError(fmt::format("'{}' holds neither a run with a checkpoint ('{}') nor a model ('{}')",
                                 path.native(), model::kCheckpointFolder, model::kParameterFile));
  }
  return origin_of(folder, checkpoints, std::move(*newest));
}

RunConfig fork_config(const ForkOrigin& origin, bool restart) {
  RunConfig config = origin.model.config;
  config.fork = {origin.identity, origin.model.step, restart};
  if (restart) config.train.micro_batch = 0;  // was resolved for the parent's batch
  return config;
}

std::string run_identity(const RunConfig& config, const data::TokenFile& file) {
  return model::identity(config, file.checksum_text());
}

TrainResult train(const RunConfig& config, const TrainOptions& options) {
  LOGLOG_CHECK(options.threads >= 1, "{} threads", options.threads);
  const data::TokenFile file = data::TokenFile::open(config.data.path);
  const RunConfig full = resolved(config, file);
  if (options.expected) require_expected(*options.expected, full, file);
  require_fork(full, file, options);
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
  write_atomically(options.fs, options.out / model::kConfigFile, model::to_toml(full));
  // So that the model can be used where its data is not.
  if (const Json meta = file.meta(); meta.contains("tokenizer"))
    write_atomically(options.fs, options.out / model::kCodecFile, json_text(meta["tokenizer"]) + "\n");
  return run.loop();
}

}  // namespace loglog::train
