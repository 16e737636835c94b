#include "kernels/threads.hpp"

#include <omp.h>

#include "kernels/parallel.hpp"

namespace loglog::kernels {

int usable_threads(int asked) {
  check_threads(asked);
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
