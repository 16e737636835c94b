// Numbers as pages of studies show them.
#pragma once
#include <string>

#include "studies/verdict.hpp"

namespace loglog::studies {

// So many significant digits: "0.123"; "-" for NaN.
std::string number(double x, int digits = 3);
// Of a share: "12.3%"; "-" for NaN.
std::string percent(double share, int digits = 3);
// With the 95% interval of the samples, in multiples of `unit`: "1.2 [1.1, 1.3]"; the number alone where it is exact,
// and how many resamples were none.
std::string with_interval(const Measure& m, int digits = 3, double unit = 1);

}  // namespace loglog::studies
