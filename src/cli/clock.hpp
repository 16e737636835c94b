// Clocks of the operating system in seconds.
#pragma once
#include <time.h>

namespace loglog::cli {

inline double now(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace loglog::cli
