#include "sweep/slurm.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"
#include "base/shell_word.hpp"

namespace loglog::sweep {
namespace {

void require_plain(const char* what, const std::string& value, const char* not_allowed) {
  if (value.find_first_of(not_allowed) == std::string::npos) return;
  throw UsageError(fmt::format("{} is '{}': a line of #SBATCH cannot hold it", what, value));
}

std::string directives(const SlurmJob& job) {
  constexpr const char* kBreaks = " \t\n\r\"'\\#";
  require_plain("the name of the sweep", job.name, kBreaks);
  require_plain("--time", job.time, kBreaks);
  require_plain("--partition", job.partition, kBreaks);
  require_plain("the job folder", job.folder.native(), "\n\r\"\\%");
  std::string out = fmt::format(
      "#SBATCH --job-name={}\n"
      "#SBATCH --array=0-{}\n"
      "#SBATCH --ntasks=1\n"
      "#SBATCH --cpus-per-task={}\n"
      "#SBATCH --mem={:.0f}M\n",
      job.name, job.tasks - 1, job.processors, std::ceil(job.memory_bytes / (1 << 20)));
  if (!job.time.empty()) out += fmt::format("#SBATCH --time={}\n", job.time);
  if (!job.partition.empty()) out += fmt::format("#SBATCH --partition={}\n", job.partition);
  out += fmt::format(
      "# A task that is preempted, or whose node dies, is started again, and its log goes on.\n"
      "#SBATCH --requeue\n"
      "#SBATCH --open-mode=append\n"
      "#SBATCH --output=\"{}/logs/%A_%a.log\"\n"
      "# USR1 so many seconds before the time limit.\n"
      "#SBATCH --signal=B:USR1@{}\n",
      job.folder.native(), job.warning_seconds);
  return out;
}

}  // namespace

// The program takes the place of the shell, so that signals reach it and no status is lost: bash 5.2 forgets that of a child
// that ends while a trap runs (`wait` says 255).
std::string batch_script(const SlurmJob& job) {
  return fmt::format(
      "#!/bin/bash\n"
      "# The sweep {}, as a job array of which every task trains run after run until none is left. Written "
      "by\n"
      "# `loglog sweep submit`; to begin again with what is unfinished: sbatch THIS_FILE.\n"
      "{}\n"
      "# On TERM (preempted or cancelled) and USR1 a task finishes its step, writes a checkpoint and exits "
      "with 75.\n"
      "# After preemption Slurm queues it again by itself; after USR1 it does so with `scontrol requeue`.\n"
      "exec {} --task \"$SLURM_ARRAY_TASK_ID\" --threads \"$SLURM_CPUS_PER_TASK\" --slurm-job "
      "\"$SLURM_JOB_ID\"\n",
      job.name, directives(job), shell_words(job.task));
}

}  // namespace loglog::sweep
