// What the choice among forms must say of published sweeps.
#pragma once
#include <vector>

#include "fit/selftest/accuracy.hpp"

namespace loglog::fit {

std::vector<AccuracyCheck> choice_checks();

}  // namespace loglog::fit
