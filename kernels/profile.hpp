// Where the time of a piece of work goes, by family of kernels.
#pragma once
#include <array>
#include <chrono>
#include <string_view>

#include "kernels/exec.hpp"

namespace loglog::kernels {

enum class KernelFamily {
  product,
  attention,
  norm,
  activation,
  rotary,
  loss,
  embedding,
  dropout,
  convert,
  optimizer,
  sum
};
inline constexpr std::string_view kKernelFamilies[] = {"product", "attention", "norm",      "activation",
                                                       "rotary",  "loss",      "embedding", "dropout",
                                                       "convert", "optimizer", "sum"};

// Seconds that drivers took which were called with an ExecContext that points here. A driver that another one calls counts as
// the caller's. Not thread-safe, as an ExecContext is not.
struct Profile {
  std::array<double, std::size(kKernelFamilies)> seconds{};
  bool running = false;  // inside a driver
};

// The time from here to the end of the scope is that family's. Costs a comparison where nobody asked for a profile.
class Timed {
 public:
  Timed(const ExecContext& ctx, KernelFamily family)
      : profile_(ctx.profile != nullptr && !ctx.profile->running ? ctx.profile : nullptr), family_(family) {
    if (profile_ == nullptr) return;
    profile_->running = true;
    begin_ = std::chrono::steady_clock::now();
  }
  ~Timed() {
    if (profile_ == nullptr) return;
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin_;
    profile_->seconds[static_cast<std::size_t>(family_)] += time.count();
    profile_->running = false;
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  Profile* profile_;
  KernelFamily family_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace loglog::kernels
