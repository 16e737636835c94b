// loglog sweep submit, commands, task: a sweep in a folder that many machines share.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <memory>

#include "base/child_process.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/shell_word.hpp"
#include "cli/arguments.hpp"
#include "cli/stop_signals.hpp"
#include "cli/sweep.hpp"
#include "cli/talk.hpp"
#include "kernels/table.hpp"
#include "sweep/job_folder.hpp"
#include "sweep/slurm.hpp"
#include "sweep/trunk.hpp"
#include "train/choose_table.hpp"

namespace loglog::cli {
namespace {

struct Options {
  Path config;
  std::string arm;
  Path data;
  Path folder;
  bool slurm = false;
  bool dry_run = false;
  int tasks = 10;
  std::string retry;
  sweep::SlurmJob job;
};

constexpr int kMostTasks = 1001;  // Slurm's own limit where a cluster sets none (MaxArraySize)

struct Planned {
  sweep::Job job;
  double flops = 0;
  double memory_bytes = 0;  // of the largest run
};

// Every run of the sweep file, in its folder.
Planned plan_job(Options& options, const Environment& environment) {
  sweep::SweepSpec spec = sweep::read_sweep(options.config, options.arm);
  if (!options.data.empty()) spec.base.data.path = options.data.native();
  if (options.folder.empty()) options.folder = spec.name + ".job";
  options.folder = std::filesystem::absolute(options.folder).lexically_normal();
  sweep::DataReader data(spec.base);
  const sweep::Grid grid =
      sweep::expand(spec, [&](const model::RunConfig& config) { return data(config).facts; });
  const kernels::KernelTable& row = train::choose_table(environment.isa, spec.base.train.isa);
  Planned planned;
  planned.job = {spec.name, std::filesystem::absolute(spec.base.data.path).lexically_normal(), spec.text, {}};
  for (const sweep::Cell& cell : grid.cells) {
    planned.job.runs.push_back(cell.spec);
    planned.flops += sweep::own_flops(cell);
    planned.memory_bytes =
        std::max(planned.memory_bytes, sweep::run_memory_bytes(cell.config, row, options.job.processors));
  }
  sweep::write_job(options.folder, planned.job);
  if (!environment.isa.empty()) sweep::agree_on_row(options.folder, std::string(row.float32));
  return planned;
}

std::vector<std::string> task_command(const Options& options, const Environment& environment) {
  std::vector<std::string> words = {environment.program, "sweep", "task", options.folder.native()};
  if (!environment.isa.empty()) words.insert(words.end(), {"--isa", environment.isa});
  return words;
}

void hand_to_slurm(const Path& script) {
  ChildProcess sbatch({{"sbatch", script.native()}});
  if (!sbatch.started())
    throw Error(Exit::failed,
                fmt::format("there is no sbatch here: type `sbatch {}` on a login node of the cluster",
                            shell_word(script.native())));
  const int status = sbatch.wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(Exit::failed, fmt::format("sbatch did not take '{}'", script.native()));
}

int submit(Options options, const Environment& environment) {
  if (!options.slurm) throw UsageError("say which scheduler is meant: --slurm is the only one");
  const Planned planned = plan_job(options, environment);
  sweep::JobQueue queue(options.folder, planned.job.runs, {});
  if (options.retry == "failed") queue.requeue();
  const auto counts = queue.counts();
  std::int64_t left = 0;
  for (const auto& [state, count] : counts) {
    const bool waits = state == sweep::State::queued || state == sweep::State::checkpointed ||
                       state == sweep::State::running;
    if (waits) left += count;
  }
  constexpr double kProgram = 256.0 * (1 << 20);  // itself, its threads and what it reads of the text
  options.job.name = planned.job.sweep;
  options.job.folder = options.folder;
  options.job.memory_bytes = planned.memory_bytes + kProgram;
  options.job.tasks = static_cast<int>(std::clamp<std::int64_t>(left, 1, options.tasks));
  options.job.task = task_command(options, environment);
  const Path script = options.folder / "job.sh";
  write_atomically(real_file_system(), script, sweep::batch_script(options.job));
  fmt::print("{}: {} runs, {} of them unfinished, {:.3g} FLOPs in all; {} tasks\n", script.native(),
             planned.job.runs.size(), left, planned.flops, options.job.tasks);
  if (left == 0)
    talk("nothing is left to train\n");
  else if (!options.dry_run)
    hand_to_slurm(script);
  talk("then: loglog store merge {}.db {}/spool/*.jsonl\n", planned.job.sweep,
       shell_word(options.folder.native()));
  return 0;
}

int print_commands(Options options, const Environment& environment) {
  const Planned planned = plan_job(options, environment);
  for (const sweep::RunSpec& run : planned.job.runs) {
    std::vector<std::string> words = task_command(options, environment);
    words.insert(words.end(), {"--run", run.identity});
    fmt::print("{}\n", shell_words(words));
  }
  talk("then: loglog store merge {}.db {}/spool/*.jsonl\n", planned.job.sweep,
       shell_word(options.folder.native()));
  return 0;
}

// A task of Slurm that was warned of its time limit goes on later. Slurm may end it while it says so.
void queue_again(const std::string& slurm_job) {
  ChildProcess scontrol({{"scontrol", "requeue", slurm_job}});
  if (!scontrol.started() || scontrol.wait() != 0)
    talk("loglog: warning: `scontrol requeue {}` failed: submit the rest with sbatch\n", slurm_job);
}

struct TaskArguments {
  Path folder;
  std::string task = "task";
  std::string run;
  std::string slurm_job;
  int threads = 1;
  double seconds = 0;
  double beat = 30;
};

// All tasks train on the row of the first: rows differ in the last bits.
std::string row_for_all(const TaskArguments& arguments, const sweep::Job& job,
                        const Environment& environment) {
  if (job.runs.empty()) throw InputError(fmt::format("'{}' plans no runs", arguments.folder.native()));
  const std::string configured = model::from_json(job.runs[0].config, job.runs[0].name).train.isa;
  const auto row_after = [&](const std::string& begun) {
    return std::string(train::choose_table(environment.isa, configured, begun).float32);
  };
  std::string agreed = sweep::agree_on_row(arguments.folder, row_after(sweep::agreed_row(arguments.folder)));
  if (row_after(agreed) == agreed) return agreed;
  throw UsageError(
      fmt::format("the runs of '{}' are trained with --isa {} in '{}', not {}: rows differ in the last bits",
                  job.sweep, agreed, arguments.folder.native(), row_after(agreed)));
}

int code_of_run(sweep::JobQueue& queue, const TaskArguments& arguments, bool stopped) {
  const sweep::State state = queue.state_of(arguments.run);
  if (state == sweep::State::done || state == sweep::State::diverged) return static_cast<int>(Exit::done);
  if (!stopped && state == sweep::State::running)
    talk("run {} is being trained by another task\n", arguments.run);
  if (!stopped && state == sweep::State::queued)
    talk("the run that {} is forked from is being trained by another task, or failed\n", arguments.run);
  const bool failed = state == sweep::State::failed || state == sweep::State::abandoned;
  return static_cast<int>(failed ? Exit::some_failed : Exit::checkpointed);
}

int run_task(const TaskArguments& arguments, const Environment& environment) {
  install_stop_signals();
  const sweep::Job job = sweep::read_job(arguments.folder);
  const std::chrono::milliseconds beat(static_cast<std::int64_t>(1000 * arguments.beat));
  sweep::WorkerOptions options;
  options.beat_interval = beat;
  options.stop_requested = stop_requested;
  if (arguments.seconds > 0) {
    const std::chrono::duration<double> seconds(arguments.seconds);
    options.deadline = std::chrono::steady_clock::now() +
                       std::chrono::duration_cast<std::chrono::steady_clock::duration>(seconds);
  }
  sweep::TrainingOptions training{environment.isa};
  training.rows[job.sweep] = row_for_all(arguments, job, environment);
  training.threads = arguments.threads;
  training.data = job.data;
  training.binary_hash = hash_hex_of_file(environment.program);
  sweep::JobQueue queue(arguments.folder, job.runs, {arguments.task, arguments.run, beat, stop_requested});
  if (!arguments.run.empty()) queue.state_of(arguments.run);  // InputError when there is none
  const sweep::WorkerResult result = sweep::work(queue, options, sweep::trainer(training));
  if (!arguments.run.empty()) return code_of_run(queue, arguments, result.stopped);
  const Exit code = result.stopped ? Exit::checkpointed : result.failed > 0 ? Exit::some_failed : Exit::done;
  talk("task {}: {} runs committed{}; exit code {}\n", arguments.task, result.committed,
       result.stopped ? ", stopped with work left" : "", static_cast<int>(code));
  const bool warned = stop_requested() && stop_exit_code() == 128 + SIGUSR1;
  if (result.stopped && warned && !arguments.slurm_job.empty()) queue_again(arguments.slurm_job);
  return static_cast<int>(code);
}

void add_job_options(CLI::App* verb, const std::shared_ptr<Options>& options) {
  verb->add_option("config", options->config, "sweep file (TOML)")->required();
  verb->add_option("--arm", options->arm, "the sweep with the keys of its [arm.NAME]");
  verb->add_option("--data", options->data, "token file, in place of data.path");
  verb->add_option("--folder", options->folder,
                   "job folder to make or to go on with, where all machines see it [NAME.job]");
}

}  // namespace

void add_sweep_job(CLI::App& sweep, const Environment& environment, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* submit_verb =
      sweep.add_subcommand("submit", "train on a cluster: one job array, whose tasks take run after run");
  add_job_options(submit_verb, options);
  submit_verb->add_flag("--slurm", options->slurm, "by Slurm");
  submit_verb->add_option("--array", options->tasks, "tasks at most")
      ->check(CLI::Range(1, kMostTasks))
      ->capture_default_str();
  submit_verb->add_option("--processors", options->job.processors, "of each task, threads of its runs")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  submit_verb->add_option("--time", options->job.time,
                          "time limit as sbatch takes it; tasks queue again when it is over");
  submit_verb->add_option("--partition", options->job.partition, "partition of the cluster");
  submit_verb->add_option("--retry", options->retry, "failed: give failed and abandoned runs another chance")
      ->check(CLI::IsMember({"failed"}));
  submit_verb->add_flag("--dry-run", options->dry_run, "write the job folder and its script, submit nothing");
  submit_verb->footer(
      "Example: loglog sweep submit configs/sweeps/demo.toml --slurm --array 20 --time 04:00:00");
  submit_verb->callback(
      [=, &environment, &run] { run = [=, &environment] { return submit(*options, environment); }; });

  CLI::App* commands = sweep.add_subcommand(
      "commands", "one command per run, for GNU parallel or xargs; any may be run again");
  add_job_options(commands, options);
  commands->footer("Example: loglog sweep commands configs/sweeps/demo.toml | parallel --joblog log");
  commands->callback(
      [=, &environment, &run] { run = [=, &environment] { return print_commands(*options, environment); }; });

  CLI::App* task = sweep.add_subcommand("task", "train runs of a job folder; started by submit and commands");
  const auto arguments = std::make_shared<TaskArguments>();
  task->add_option("folder", arguments->folder, "job folder")->required();
  task->add_option("--task", arguments->task, "begins the name of the spool");
  task->add_option("--run", arguments->run, "train this one alone, failed before or not");
  task->add_option("--slurm-job", arguments->slurm_job,
                   "the task's number in Slurm, which is queued again when USR1 stopped it");
  task->add_option("--threads", arguments->threads, "threads to train with")->check(CLI::Range(1, 4096));
  task->add_option("--seconds", arguments->seconds, "checkpoint and end (exit 75) after so long");
  task->add_option("--beat", arguments->beat, "seconds between heartbeats; three missed lose the lease")
      ->check(number_between(0.01, 3600))
      ->capture_default_str();
  task->callback(
      [=, &environment, &run] { run = [=, &environment] { return run_task(*arguments, environment); }; });
}

}  // namespace loglog::cli
