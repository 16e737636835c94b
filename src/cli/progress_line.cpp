#include "cli/progress_line.hpp"
#include "cli/talk.hpp"

#include <fmt/format.h>

#include <cmath>

namespace loglog::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kReport{30};

}  // namespace

ProgressLine::~ProgressLine() {
  if (drawn_) talk("\n");
}

void ProgressLine::show(const std::function<std::string()>& text, bool last) {
  const auto now = Clock::now();
  const bool due = terminal_ ? last || !drawn_ || now - last_ >= kRedraw : now - last_ >= kReport;
  if (!due) return;
  last_ = now;
  if (terminal_)
    talk("\r\x1b[K{}", text());
  else
    talk("{}\n", text());
  drawn_ = terminal_;
}

std::string duration_text(double seconds) {
  constexpr double kLongest = 1e8;  // three years: whatever claims more was divided by next to nothing
  if (!std::isfinite(seconds) || seconds > kLongest) return "?";
  const auto total = static_cast<long>(std::lround(seconds));
  if (total >= 3600) return fmt::format("{} h {:02} min", total / 3600, total % 3600 / 60);
  if (total >= 60) return fmt::format("{} min {:02} s", total / 60, total % 60);
  return fmt::format("{} s", total);
}

}  // namespace loglog::cli
