#include "base/processors.hpp"

#include <sched.h>

#include <algorithm>

#include "support/catch.hpp"

using namespace loglog;

TEST_CASE("the usable processors are those that this process is bound to") {
  const std::vector<int> all = usable_processors();
  REQUIRE_FALSE(all.empty());
  REQUIRE(std::is_sorted(all.begin(), all.end()));
#if defined(__linux__)
  cpu_set_t before, one;
  REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(all.back()), &one);
  REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  const std::vector<int> bound = usable_processors();
  ::sched_setaffinity(0, sizeof before, &before);
  REQUIRE(bound == std::vector<int>{all.back()});
#endif
}
