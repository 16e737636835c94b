// The roofline of a measured ladder: the ceilings of this machine, and the rungs below them.
#pragma once
#include <string>
#include <vector>

#include "cli/ladder_measure.hpp"
#include "report/plot.hpp"

namespace loglog::cli {

report::Figure roofline(const kernels::ladder::LadderKind& kind, const LadderResult& result);

}  // namespace loglog::cli
