// What conversions, tests, allocation and extrapolation must give on published sweeps: part of accuracy_checks().
#pragma once
#include <vector>

#include "fit/selftest/accuracy.hpp"

namespace loglog::fit {

std::vector<AccuracyCheck> allocation_checks();

}  // namespace loglog::fit
