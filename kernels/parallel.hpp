// Independent tasks on several threads.
#pragma once
#include <omp.h>

#include <algorithm>
#include <atomic>

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

// A range of tasks that its threads take one after the other, and others when theirs are done.
struct alignas(64) TaskShare {
  std::atomic<Index> next{0};
  Index end = 0;
};
inline constexpr Index kMostTaskShares = 64;

// run(task, thread) for task = 0 .. tasks - 1, thread < threads. Each thread begins with a share of its own, the same one in every
// call, so that rows which it wrote in one call are in its caches in the next (4096 x 64 x 64 of bfloat16 on two cores with AMX,
// a region like any other: 48 -> 27 us); then it helps the others, since some cores are faster or freer. So the cut into tasks has
// to keep every bit the same: where a sum crosses it, it is fixed by shape and the parts are added in a fixed order afterwards;
// where no sum does, it may depend on `threads`. Which driver does which: docs/kernels.md. One thread never enters OpenMP. run must
// not throw: no exception can leave a region. ContractError for threads < 1.
template <class Run>
void parallel_tasks(int threads, Index tasks, Run&& run) {
  check_threads(threads);
  const int team = static_cast<int>(std::min<Index>(threads, tasks));
  if (team <= 1) {
    for (Index i = 0; i < tasks; ++i) run(i, 0);
    return;
  }
  fix_team_size();
  const Index shares = std::min<Index>(team, kMostTaskShares);
  TaskShare share[kMostTaskShares];
  for (Index s = 0; s < shares; ++s) {
    share[s].next.store(s * tasks / shares, std::memory_order_relaxed);
    share[s].end = (s + 1) * tasks / shares;
  }
#pragma omp parallel num_threads(team)
  {
    const int thread = omp_get_thread_num();
    for (Index helped = 0; helped < shares; ++helped) {
      TaskShare& from = share[(thread + helped) % shares];
      for (Index i = 0; (i = from.next.fetch_add(1, std::memory_order_relaxed)) < from.end;) run(i, thread);
    }
  }
}

}  // namespace loglog::kernels
