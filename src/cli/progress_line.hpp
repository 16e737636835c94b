// Shows the progress of a run on stderr: a line that is redrawn on a terminal, one line per 30 s elsewhere.
#pragma once
#include <chrono>

#include "train/progress.hpp"

namespace loglog::cli {

class ProgressLine {
 public:
  // peak_flops: measured, FLOP/s of all threads together; 0 leaves the share of it out.
  ProgressLine(bool terminal, double peak_flops) : terminal_(terminal), peak_flops_(peak_flops) {}
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const train::Progress& progress);

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  double peak_flops_;
  bool drawn_ = false;
  Clock::time_point last_ = Clock::now();
};

}  // namespace loglog::cli
