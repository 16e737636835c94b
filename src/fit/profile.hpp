// Intervals by profile likelihood: a number is not rejected as long as a fit that is forced to have it is not much worse.
//
//   T(c) = 2 (F(c) - F_min) k / s^2 <= F quantile of (1, n - p)       Bates and Watts 1988, section 6.1
//
// F(c) is the least objective of all theta with q(theta) = c, k the share of points inside delta, s^2 the mean square of the Huber slopes over
// n - p times (1 + p / n (1 - k) / k)^2, which n little above p makes necessary (Huber 1973): for least squares k = 1 and s^2 is the residual
// variance; for Huber the ratio makes T a chi-squared of one degree (Ronchetti 1982). No symmetry is assumed, and no change of units of q or theta changes the interval.
#pragma once
#include <optional>

#include "fit/objective.hpp"

namespace loglog::fit {

struct ProfileInterval {
  double low = 0,
         high = 0;  // NaN on a side where no fit is bad enough: the data do not bound the number there
  bool closed() const;
};

// Of `quantity`, a number of the uncentred theta, around the minimum `best` (centred). Points are independent; rows of weight 0 do not count.
// NaN on both sides below one residual degree of freedom.
ProfileInterval profile_interval(const Points& points, std::span<const double> weights, Huber huber,
                                 const Vector& best, const Quantity& quantity, double confidence = 0.95);

// The fit that is forced to `quantity` = value, from `start`; nothing where there is none.
struct ConstrainedFit {
  Vector theta{};    // centred
  double value = 0;  // F
};
std::optional<ConstrainedFit> constrained_fit(const Points& points, std::span<const double> weights,
                                              Huber huber, const Vector& start, const Quantity& quantity,
                                              double value);

// s^2 and k above, at the minimum.
struct ResidualScale {
  double variance = 0;       // of ln L: s^2 / k^2
  double per_objective = 0;  // what 2 (F - F_min) is multiplied with
  int degrees = 0;
};
double small_sample_factor(int parameters, double rows, double inside);  // 1 + p / n (1 - k) / k
ResidualScale residual_scale(const Points& points, std::span<const double> weights, Huber huber,
                             const Vector& best);

}  // namespace loglog::fit
