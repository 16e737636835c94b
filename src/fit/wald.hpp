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

// Of independent rows, by one formula for the data and for what resampling makes of them: `rows` is the number of rows drawn, weights have mean 1
// over these. Nothing where the rows do not determine theta.
std::optional<Matrix> plain_covariance(const Points& points, std::span<const double> weights, int rows,
                                       Huber huber, const Vector& theta);

// +- its t times this is an interval of a number whose slope by theta is given.
double standard_error(const Matrix& covariance, const Vector& slope, int parameters);

struct Covariance {
  Matrix matrix{};     // of the centred theta
  double degrees = 0;  // of Student's t that goes with it
};
// At the minimum `best`. Nothing below one degree of freedom or where the data do not determine theta.
std::optional<Covariance> wald_covariance(const Points& points, const Runs& runs, Huber huber,
                                          const Vector& best);

// How much of an error that all rows of a run share the fit takes up, 0 to 1: h_c = sum_ij (J (J' W J)^-1 J' W)_ij / rows of the run, i and j of run c.
// They sum to the number of parameters where each row is a run. 0 where theta is not determined.
std::vector<double> run_leverages(const Points& points, const Runs& runs, const Vector& best);

}  // namespace loglog::fit
