#include "fit/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>

namespace loglog::fit {

void for_each_index(int threads, int count, const std::function<void(int)>& work) {
  const int team = std::min(threads, count);
  if (team <= 1) {
    for (int i = 0; i < count; ++i) work(i);
    return;
  }
  std::exception_ptr error;
  std::atomic<bool> failed{false};
#pragma omp parallel for num_threads(team) schedule(dynamic, 8)
  for (int i = 0; i < count; ++i) {
    if (failed.load(std::memory_order_relaxed)) continue;
    try {
      work(i);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace loglog::fit
