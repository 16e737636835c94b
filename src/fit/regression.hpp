// A straight line in log-log coordinates, that is a power law y = exp(intercept) x^slope.
#pragma once
#include <span>
#include <vector>

namespace loglog::fit {

struct Line {
  double slope = 0;
  double intercept = 0;
  double chi_square = 0;  // weighted sum of squared residuals
};
// Weighted least squares; at least two distinct x (ContractError).
Line fit_line(std::span<const double> x, std::span<const double> y, std::span<const double> weight);

}  // namespace loglog::fit
