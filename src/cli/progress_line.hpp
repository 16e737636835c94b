// Shows progress on stderr: a line that is redrawn on a terminal, one line per 30 s elsewhere.
#pragma once
#include <chrono>
#include <functional>
#include <string>

namespace loglog::cli {

class ProgressLine {
 public:
  explicit ProgressLine(bool terminal) : terminal_(terminal) {}
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Asks for the text when it is time for it; at once when this is the `last` of a terminal. Elsewhere the first
  // comes after 30 s.
  void show(const std::function<std::string()>& text, bool last = false);

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point last_ = Clock::now();
};

std::string duration_text(double seconds);  // "1 h 05 min", "3 min 20 s", "12 s"; "?" when it is not known

}  // namespace loglog::cli
