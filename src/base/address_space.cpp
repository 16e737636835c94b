#include "base/address_space.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "base/processors.hpp"

namespace loglog {

std::size_t address_space_left() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return std::numeric_limits<std::size_t>::max();
  const std::size_t used =
      std::strtoull(field_of("/proc/self/status", "VmSize").c_str(), nullptr, 10) * 1024;  // in KiB
  return limit.rlim_cur - std::min<std::size_t>(limit.rlim_cur, used);
}

}  // namespace loglog
