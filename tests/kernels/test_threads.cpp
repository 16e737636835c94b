// How many threads run is asked of the runtime, not assumed.
#include "kernels/threads.hpp"

#include <omp.h>

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;

TEST_CASE("a team is as large as the runtime makes it, also when OMP_DYNAMIC would vary it", "[threads]") {
  REQUIRE(usable_threads(1) == 1);
  REQUIRE(usable_threads(3) == 3);
  omp_set_dynamic(1);
  REQUIRE(usable_threads(16) == 16);  // more than there are cores: dynamic adjustment would give fewer
  const int levels = omp_get_max_active_levels();
  omp_set_max_active_levels(0);
  REQUIRE(usable_threads(3) == 1);
  omp_set_max_active_levels(levels);
  REQUIRE(usable_threads(3) == 3);
  REQUIRE_THROWS_AS(usable_threads(0), ContractError);
}
