// Independent tasks on several threads.
#pragma once
#include <omp.h>

#include <algorithm>

#include "base/check.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

inline void check_threads(int threads) {
  LOGLOG_CHECK(threads >= 1, "threads is {}", threads);
}

// Before every region: with OMP_DYNAMIC the runtime may take another number of threads each time, by the load of the
// machine, and no number that usable_threads reports would be true of the next region.
inline void fix_team_size() {
  omp_set_dynamic(0);
}

// run(task, thread) for task = 0 .. tasks - 1, thread < threads. Who runs what is free (fast and slow cores), so the cut
// into tasks has to keep every bit the same: where a sum crosses it, it is fixed by shape and the parts are added in a
// fixed order afterwards; where no sum does, it may depend on `threads`. Which driver does which: docs/kernels.md. One
// thread never enters OpenMP. run must not throw: no exception can leave a region. ContractError for threads < 1.
template <class Run>
void parallel_tasks(int threads, Index tasks, Run&& run) {
  check_threads(threads);
  const int team = static_cast<int>(std::min<Index>(threads, tasks));
  if (team <= 1) {
    for (Index i = 0; i < tasks; ++i) run(i, 0);
    return;
  }
  fix_team_size();
#pragma omp parallel for num_threads(team) schedule(dynamic, 1)
  for (Index i = 0; i < tasks; ++i) run(i, omp_get_thread_num());
}

}  // namespace loglog::kernels
