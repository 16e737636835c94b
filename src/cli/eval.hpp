// The two halves of `loglog eval`: losses on a token file, and answers to questions.
#pragma once
#include <string>

#include "cli/calibration_run.hpp"

namespace loglog::cli {

struct EvalArguments {
  ModelArguments model;
  bool json = false;
  // Of a token file.
  DataArguments data;
  std::vector<std::string> by;
  std::string spans;
  CalibrationArguments calibration;
  // Of a task.
  std::string task, kind, items, cache;
  std::uint64_t batch = 32;
  std::uint64_t seed = 1;
};

int eval_data(const EvalArguments& arguments, const Environment& environment);
int eval_task(const EvalArguments& arguments, const Environment& environment);

}  // namespace loglog::cli
