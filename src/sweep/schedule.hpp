// How long a list of runs takes, run by run as the launcher starts them.
#pragma once
#include <span>

#include "sweep/store.hpp"

namespace loglog::sweep {

// Seconds on the clock until the last of these runs ends: those that need most threads first, then the others; of equal threads the
// dearest that is ready, each on processors of its own, a fork once its parent is done. Parents that are not in the list are done.
double makespan(std::span<const RunSpec> runs, int processors);

}  // namespace loglog::sweep
