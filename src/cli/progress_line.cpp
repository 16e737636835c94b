#include "cli/progress_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace loglog::cli {
namespace {

constexpr int kBarWidth = 20;
constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kReport{30};

// "1h02m", "3m20s", "45s"
std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds > 1e8) return "?";
  const auto s = static_cast<long>(std::ceil(seconds));
  if (s >= 3600) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}

std::string describe(const train::Progress& p, double peak_flops) {
  std::string text = fmt::format("step {}/{}  loss {:.4f}", p.step, p.steps, p.train_loss);
  if (std::isfinite(p.val_loss)) text += fmt::format("  val {:.4f}", p.val_loss);
  text += fmt::format("  {:.0f} tokens/s  {:.1f} GFLOP/s", p.tokens_per_s, p.flops_per_s / 1e9);
  if (peak_flops > 0) text += fmt::format(" ({:.0f}% of peak)", 100 * p.flops_per_s / peak_flops);
  return text + "  " + duration(p.seconds_left) + " left";
}

}  // namespace

ProgressLine::~ProgressLine() {
  if (drawn_) fmt::print(stderr, "\n");
}

void ProgressLine::show(const train::Progress& p) {
  const auto now = Clock::now();
  const bool last = p.step == p.steps;
  if (!terminal_) {
    if (now - last_ < kReport) return;
    last_ = now;
    fmt::print(stderr, "{}\n", describe(p, peak_flops_));
    return;
  }
  if (now - last_ < kRedraw && !last) return;
  last_ = now;
  drawn_ = true;
  const double share = p.steps > 0 ? static_cast<double>(p.step) / static_cast<double>(p.steps) : 1.0;
  const int filled = std::clamp(static_cast<int>(share * kBarWidth), 0, kBarWidth);
  fmt::print(stderr, "\r[{:<{}}] {}\x1b[K", std::string(static_cast<std::size_t>(filled), '#'), kBarWidth,
             describe(p, peak_flops_));
}

}  // namespace loglog::cli
