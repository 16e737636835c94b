#include "kernels/threads.hpp"

#include <omp.h>

#include "base/check.hpp"
#include "kernels/parallel.hpp"

namespace loglog::kernels {

int usable_threads(int asked) {
  LOGLOG_CHECK(asked >= 1, "threads is {}", asked);
  if (asked == 1) return 1;
  fix_team_size();
  int team = 1;
#pragma omp parallel num_threads(asked)
  {
#pragma omp single
    team = omp_get_num_threads();
  }
  return team;
}

}  // namespace loglog::kernels
