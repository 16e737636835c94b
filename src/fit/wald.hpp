// The covariance of a fit from the slope of the law at its minimum: intervals without a second fit.
//
//   independent rows    V = variance (J' W J)^-1, variance that of ln L (residual_scale)      Huber and Ronchetti 2009, section 7.6
//   rows of one run     V = m / (m - 1) (n - 1) / (n - p) B^-1 (sum_c s_c s_c') B^-1          Liang and Zeger 1986
//
// J of ln L by theta, W the weights over their mean, B the Hessian of F, s_c the sum of w slope(r) J over the rows of run c, of m.
#pragma once
#include <optional>

#include "fit/objective.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

struct Covariance {
  Matrix matrix{};     // of the centred theta
  double degrees = 0;  // of Student's t that goes with it
};
// At the minimum `best`. Nothing below one degree of freedom or where the data do not determine theta.
std::optional<Covariance> wald_covariance(const Points& points, const Runs& runs, Huber huber,
                                          const Vector& best);

}  // namespace loglog::fit
