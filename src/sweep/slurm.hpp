// The batch script of a job array for Slurm.
#pragma once
#include <string>
#include <vector>

#include "base/file.hpp"

namespace loglog::sweep {

struct SlurmJob {
  std::string name;
  int tasks = 1;
  int processors = 1;             // of each task
  double memory_bytes = 0;        // of each task
  std::string time;               // as sbatch takes it; empty: the partition's limit
  std::string partition;          // empty: the default one
  int warning_seconds = 120;      // between Slurm's signal that the time is nearly over, and its end
  Path folder;                    // absolute, for logs
  std::vector<std::string> task;  // command of a task, up to " --task N --threads T --slurm-job ID"
};

// UsageError for names that no line of #SBATCH can hold.
std::string batch_script(const SlurmJob& job);

}  // namespace loglog::sweep
