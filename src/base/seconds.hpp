// How long a call takes.
#pragma once
#include <chrono>

namespace loglog {

// Of wall time.
template <class Call>
double seconds_of(Call&& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace loglog
