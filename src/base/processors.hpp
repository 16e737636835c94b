// Processors of this machine.
#pragma once
#include <vector>

namespace loglog {

// Numbers of the processors that this process may run on, ascending; at least one.
std::vector<int> usable_processors();

}  // namespace loglog
