// Independent tasks on several threads.
#pragma once
#include <omp.h>

#include <algorithm>

#include "kernels/matrix.hpp"

namespace loglog::kernels {

constexpr Index ceil_div(Index a, Index b) {
  return (a + b - 1) / b;
}

// run(task, thread) for task = 0 .. tasks - 1, thread < threads. The cut into tasks must not depend on
// `threads`; then no bit of the result does, and who runs what is free (fast and slow cores). One thread
// never enters OpenMP.
template <class Run>
void parallel_tasks(int threads, Index tasks, Run&& run) {
  const int team = static_cast<int>(std::min<Index>(threads, tasks));
  if (team <= 1) {
    for (Index i = 0; i < tasks; ++i) run(i, 0);
    return;
  }
#pragma omp parallel for num_threads(team) schedule(dynamic, 1)
  for (Index i = 0; i < tasks; ++i) run(i, omp_get_thread_num());
}

}  // namespace loglog::kernels
