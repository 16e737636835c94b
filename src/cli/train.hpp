// Parts of the verb `train`.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "cli/verb.hpp"
#include "train/trainer.hpp"

namespace loglog::cli {

void add_train_tune(CLI::App& train, const Environment& environment, Action& run);

// What all of them are told about a run.
struct RunArguments {
  std::string config;
  std::string out;
  std::vector<std::string> sets;
  int threads = 0;
};
void add_run_options(CLI::App& verb, RunArguments& a);

// Every --set. UsageError where no token file is named then.
void apply_sets(model::RunConfig& config, const RunArguments& a);
// What is asked for, else as many as the process may use; what is recorded and planned with is what the runtime gives of it.
int choose_threads(const RunArguments& a, const model::RunConfig& config);
train::TrainOptions train_options(const RunArguments& a, const kernels::KernelTable& table, int threads,
                                  const Environment& environment);
// Shows the progress of what trains with `options` inside `work`.
void with_progress(const model::RunConfig& config, train::TrainOptions& options,
                   const Environment& environment, const std::function<void()>& work);

}  // namespace loglog::cli
