// loglog sweep run, resume, worker
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <set>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/processors.hpp"
#include "cli/arguments.hpp"
#include "cli/progress_line.hpp"
#include "cli/stop_signals.hpp"
#include "cli/sweep.hpp"
#include "cli/talk.hpp"
#include "kernels/table.hpp"
#include "predict/prediction_file.hpp"
#include "predict/registration.hpp"
#include "sweep/launcher.hpp"
#include "train/choose_table.hpp"

namespace loglog::cli {
namespace {

using sweep::State;

struct Options {
  Path config;
  std::string arm;
  Path store;
  Path data;
  Path predictions;
  std::string max_time;
  double max_flops = 0;
  int processors = 0;
  std::string retry;
  bool keep = false;
  bool quiet = false;
  double beat = 5;
};

std::string progress_text(const sweep::SweepProgress& progress) {
  const auto count = [&](State state) {
    const auto found = progress.counts.find(state);
    return found == progress.counts.end() ? 0 : found->second;
  };
  std::int64_t total = 0;
  for (const auto& [state, number] : progress.counts) total += number;
  std::string line = fmt::format("{}/{} done", count(State::done) + count(State::diverged), total);
  if (count(State::diverged) > 0) line += fmt::format(" ({} diverged)", count(State::diverged));
  if (const auto bad = count(State::failed) + count(State::abandoned); bad > 0)
    line += fmt::format(", {} failed", bad);
  if (progress.seconds_left > 0) line += fmt::format(", about {} left", duration_text(progress.seconds_left));
  if (!progress.running.empty()) line += fmt::format("; {}", fmt::join(progress.running, "; "));
  return line;
}

std::vector<State> retried_states(const std::string& retry) {
  if (retry.empty()) return {};
  if (retry == "failed") return {State::failed, State::abandoned};
  throw UsageError(fmt::format("--retry is '{}', must be failed", retry));
}

std::vector<int> processors_of(const Options& options) {
  std::vector<int> cpus = usable_processors();
  if (options.processors > static_cast<int>(cpus.size()))
    throw UsageError(
        fmt::format("--processors is {}, this process may use {}", options.processors, cpus.size()));
  if (options.processors > 0) cpus.resize(static_cast<std::size_t>(options.processors));
  return cpus;
}

// Of the sweep that was trained; an empty name stands for all of the store.
int summarise(const sweep::Store& store, const std::string& sweep, sweep::SweepEnd end) {
  std::int64_t failed = 0;
  std::string line;
  for (const auto& [state, count] : store.counts(sweep)) {
    line += fmt::format("{}{} {}", line.empty() ? "" : ", ", count, sweep::state_name(state));
    if (state == State::failed || state == State::abandoned) failed += count;
  }
  fmt::print("{}: {}\n", store.path().native(), line);
  std::int64_t others = 0;
  for (const sweep::WaitingRuns& waiting : store.waiting()) others += waiting.ready;
  for (const sweep::WaitingRuns& waiting : store.waiting(sweep)) others -= waiting.ready;
  if (others > 0)
    talk("{} runs of other sweeps wait in this store; `loglog sweep resume {}` trains all\n", others,
         store.path().native());
  if (end == sweep::SweepEnd::stopped) {
    talk("stopped; `loglog sweep resume {}` continues\n", store.path().native());
    return static_cast<int>(Exit::checkpointed);
  }
  if (failed == 0) return static_cast<int>(Exit::done);
  for (const sweep::RunRow& run : sweep.empty() ? store.runs() : store.runs_of(sweep)) {
    if (run.state == State::failed) talk("{}: {}\n", run.spec.name, run.error);
    if (run.state == State::abandoned) talk("{}: its worker died {} times\n", run.spec.name, run.crashes);
  }
  talk("`loglog sweep resume {} --retry failed` tries them again\n", store.path().native());
  return static_cast<int>(Exit::some_failed);
}

int launch(sweep::Store& store, const std::string& sweep, const Options& options,
           const Environment& environment) {
  install_stop_signals();
  store.forgive_crashes();
  store.requeue(retried_states(options.retry), sweep);
  sweep::LauncherOptions launcher;
  launcher.sweep = sweep;
  const Path& path = store.path();
  launcher.command = {
      environment.program,
      "sweep",
      "worker",
      path.native().starts_with('-') ? (Path(".") / path).native() : path.native(),  // no option
      "--beat",
      fmt::format("{}", options.beat)};
  if (!environment.isa.empty()) launcher.command.insert(launcher.command.end(), {"--isa", environment.isa});
  if (!options.data.empty())
    launcher.command.insert(launcher.command.end(), {"--data", options.data.native()});
  if (options.keep) launcher.command.push_back("--keep");
  launcher.cpus = processors_of(options);
  launcher.memory_bytes = sweep::free_memory_bytes();
  if (!options.max_time.empty()) launcher.max_seconds = parse_duration(options.max_time);
  launcher.beat_interval = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * options.beat));
  launcher.stop_requested = stop_requested;
  sweep::SweepEnd end = sweep::SweepEnd::finished;
  {
    ProgressLine line(environment.terminal);
    launcher.on_progress = [&](const sweep::SweepProgress& progress) {
      constexpr std::size_t kColumns = 110;  // a longer line would wrap, and not be redrawn
      if (options.quiet) return;
      line.show([&] {
        const std::string text = progress_text(progress);
        return environment.terminal ? text.substr(0, kColumns) : text;
      });
    };
    end = sweep::launch(store, launcher);
  }
  return summarise(store, sweep, end);
}

// What would otherwise be noticed only after everything was planned.
void check_options(const Options& options) {
  if (!options.max_time.empty()) parse_duration(options.max_time);
  retried_states(options.retry);
  processors_of(options);
}

void report_left(const sweep::Left& left, const Path& config) {
  const std::size_t all = left.shared + left.kept + left.forgotten;
  if (all == 0) return;
  talk("{} runs are no longer in {}, or were planned with other data, and leave the sweep: ", all,
       config.native());
  talk("{} that waited are forgotten, {} begun or finished stay in the store, {} are other sweeps'\n",
       left.forgotten, left.kept, left.shared);
}

// The registration of the file in which every run of the plan is foretold, as JSON. A run that was begun before has no prediction.
std::string registration_of(const Path& file, const sweep::SweepSpec& spec, const sweep::Plan& plan,
                            const sweep::Store* known) {
  const predict::PredictionSet set = predict::read_predictions(read_input(file), file.native());
  std::set<std::string> planned;
  for (const sweep::Cell& cell : plan.cells) {
    planned.insert(cell.spec.identity);
    if (std::ranges::none_of(set.list, [&](const auto& p) { return p.run == cell.spec.identity; }))
      throw RefusedError(fmt::format("{} is not foretold in {}", cell.spec.name, file.native()));
  }
  const predict::Registration registration = predict::registration_of(file);
  if (registration.commit.empty())
    talk("note: {} lies in no git repository: its hash alone stands for it\n", file.native());
  std::string text = predict::to_json(registration);
  if (known == nullptr || known->note(predict::prediction_note(spec.name)) == text) return text;
  for (const sweep::RunRow& run : known->runs())
    if (run.state != State::queued && planned.contains(run.spec.identity))
      throw RefusedError(fmt::format("{} was begun before {} was registered: it cannot be foretold any more",
                                     run.spec.name, file.native()));
  return text;
}

int run_sweep(Options options, const Environment& environment) {
  sweep::SweepSpec spec = sweep::read_sweep(options.config, options.arm);
  if (!options.data.empty()) spec.base.data.path = options.data.native();
  if (options.store.empty()) options.store = spec.name + ".db";
  check_options(options);
  sweep::require_writable_store(options.store);
  // A plan that is refused, or that a signal ends, leaves no store behind.
  std::optional<sweep::Store> known;
  if (path_exists(options.store)) known.emplace(options.store, sweep::Store::Mode::write);
  sweep::PlanOptions plan_options{choose_row(known ? &*known : nullptr, spec, environment),
                                  static_cast<int>(processors_of(options).size())};
  plan_options.store = known ? &*known : nullptr;
  plan_options.on_calibration = [](const std::string& size) { talk("timing size {}\n", size); };
  const sweep::Plan plan = sweep::make_plan(spec, plan_options);
  if (!options.quiet) talk("{}", plan_text(spec, plan));
  sweep::require_affordable(plan, options.max_flops, sweep::free_memory_bytes(),
                            sweep::free_disk_bytes(options.store));
  const std::string registration =
      options.predictions.empty()
          ? ""
          : registration_of(options.predictions, spec, plan, known ? &*known : nullptr);
  sweep::Store store(options.store, sweep::Store::Mode::create);
  if (!registration.empty()) store.save_note(predict::prediction_note(spec.name), registration);
  for (const auto& [key, rate] : plan.calibrations) store.save_calibration(key, rate);
  std::vector<sweep::RunSpec> runs;
  for (const sweep::Cell& cell : plan.cells) runs.push_back(cell.spec);
  store.add(runs);
  report_left(store.leave_unplanned(spec.name, runs), options.config);
  store.save_note("sweep " + spec.name, spec.text);
  store.save_note(row_note(spec.name), std::string(plan_options.kernels.float32));
  store.add_command(spec.name, command_text(environment));
  const int code = launch(store, spec.name, options, environment);
  store.save_note("load " + spec.name,
                  fmt::format("{:.2f} at the plan, {:.2f} at the end", plan.load, load_average()));
  return code;
}

int resume_sweep(const Options& options, const Environment& environment) {
  check_options(options);
  if (path_exists(options.store)) sweep::require_writable_store(options.store);
  sweep::Store store(options.store, sweep::Store::Mode::write);
  for (const std::string& sweep : store.sweeps()) {
    if (store.waiting(sweep).empty()) continue;
    const std::string begun = store.note(row_note(sweep)).value_or("");
    if (!begun.empty()) require_row(sweep, begun, train::choose_table(environment.isa, begun).float32);
    store.add_command(sweep, command_text(environment));
  }
  return launch(store, "", options, environment);
}

void add_common_options(CLI::App* verb, const std::shared_ptr<Options>& options) {
  verb->add_option("--data", options->data, "token file, in place of data.path");
  verb->add_option("--max-time", options->max_time, "checkpoint and end (exit 75) after 6h, 90m, 30s");
  verb->add_option("--processors", options->processors, "processors to use; 0: all that are allowed")
      ->check(CLI::Range(0, 65536));
  verb->add_option("--retry", options->retry, "failed: give failed and abandoned runs another chance");
  verb->add_option("--beat", options->beat,
                   "seconds between heartbeats of workers; three missed lose the lease")
      ->check(number_between(0.01, 3600))
      ->capture_default_str();
  verb->add_flag("--keep", options->keep, "keep checkpoints and records of finished runs");
  verb->add_flag("--quiet", options->quiet, "no progress");
}

struct WorkerArguments {
  Path store;
  std::string sweep;
  Path data;
  int parent = 0;
  int threads = 1;
  int planned_threads = 0;
  std::vector<int> cpus;
  double seconds = 0;
  double beat = 5;
  bool keep = false;
};

int run_worker(const WorkerArguments& arguments, const Environment& environment) {
  install_stop_signals();
  if (arguments.parent > 0) sweep::stop_with_parent(arguments.parent);
  if (!arguments.cpus.empty()) sweep::pin_to_cpus(arguments.cpus);
  sweep::WorkerOptions options;
  options.sweep = arguments.sweep;
  options.threads = arguments.planned_threads;
  options.beat_interval = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * arguments.beat));
  options.stop_requested = stop_requested;
  options.keep_folders = arguments.keep;
  if (arguments.seconds > 0) {
    options.deadline =
        std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                               std::chrono::duration<double>(arguments.seconds));
  }
  sweep::TrainingOptions training{environment.isa};
  const sweep::Store store(arguments.store, sweep::Store::Mode::read);
  for (const std::string& sweep : store.sweeps()) {
    if (const auto row = store.note(row_note(sweep))) training.rows[sweep] = *row;
    if (const auto kept = store.note(predict::prediction_note(sweep))) training.registrations[sweep] = *kept;
  }
  training.threads = arguments.threads;
  training.data = arguments.data;
  training.binary_hash = hash_hex_of_file(environment.program);
  const sweep::WorkerResult result = sweep::work(arguments.store, options, sweep::trainer(training));
  return static_cast<int>(result.stopped ? Exit::checkpointed : Exit::done);
}

}  // namespace

double parse_duration(const std::string& text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string unit(end, text.data() + text.size());
  const double scale = unit == "h"                    ? 3600
                       : unit == "m" || unit == "min" ? 60
                       : unit.empty() || unit == "s"  ? 1
                                                      : 0;
  constexpr double kLongest = 10 * 365.25 * 24 * 3600;  // a clock's 64-bit nanoseconds hold 292 years
  const double seconds = value * scale;
  if (code != std::errc() || scale == 0 || !(seconds > 0) || !(seconds < kLongest))
    throw UsageError(
        fmt::format("--max-time is '{}', must be like 6h, 90m or 30s, and less than ten years", text));
  return seconds;
}

void add_sweep_run(CLI::App& sweep, const Environment& environment, Action& run) {
  CLI::App* verb = sweep.add_subcommand("run", "plan, then train what this sweep has not finished");
  const auto options = std::make_shared<Options>();
  verb->add_option("config", options->config, "sweep file (TOML)")->required();
  verb->add_option("--arm", options->arm, "the sweep with the keys of its [arm.NAME]");
  verb->add_option("--store", options->store, "store to make or to continue [NAME.db]");
  verb->add_option("--max-flops", options->max_flops, "refuse (exit 6) above so many FLOPs")
      ->check(number_between(0, 1e300));
  verb->add_option("--predictions", options->predictions,
                   "file of `loglog predict register`: every run must be in it, and names it");
  add_common_options(verb, options);
  verb->footer("Example: loglog sweep run configs/sweeps/demo.toml --store demo.db --max-time 6h");
  verb->callback(
      [=, &environment, &run] { run = [=, &environment] { return run_sweep(*options, environment); }; });

  CLI::App* resume = sweep.add_subcommand("resume", "train what a store has not finished, of all its sweeps");
  resume->add_option("store", options->store, "store")->required();
  add_common_options(resume, options);
  resume->footer("Example: loglog sweep resume demo.db --retry failed");
  resume->callback(
      [=, &environment, &run] { run = [=, &environment] { return resume_sweep(*options, environment); }; });
}

void add_sweep_worker(CLI::App& sweep, const Environment& environment, Action& run) {
  CLI::App* verb = sweep.add_subcommand("worker", "lease runs and train them; started by run and resume");
  const auto arguments = std::make_shared<WorkerArguments>();
  verb->add_option("store", arguments->store, "store")->required();
  verb->add_option("--sweep", arguments->sweep, "train the runs of this one alone");
  verb->add_option("--data", arguments->data, "token file, in place of data.path");
  verb->add_option("--parent", arguments->parent, "checkpoint and end when this process dies");
  verb->add_option("--threads", arguments->threads, "threads to train with")->check(CLI::Range(1, 4096));
  verb->add_option("--planned-threads", arguments->planned_threads,
                   "lease only runs planned for so many; 0: any");
  verb->add_option("--cpus", arguments->cpus, "processors to stay on")->delimiter(',');
  verb->add_option("--seconds", arguments->seconds, "checkpoint and end (exit 75) after so long");
  verb->add_option("--beat", arguments->beat, "seconds between heartbeats");
  verb->add_flag("--keep", arguments->keep, "keep checkpoints and records of finished runs");
  verb->callback(
      [=, &environment, &run] { run = [=, &environment] { return run_worker(*arguments, environment); }; });
}

}  // namespace loglog::cli
