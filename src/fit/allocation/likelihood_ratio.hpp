// Do the data reject a set of constants, those of a paper for example?
#pragma once
#include "fit/allocation/fitted_law.hpp"

namespace loglog::fit {

// Two tests of all parameters at once. `fitted` is the minimum of F, `constants` the law that is doubted.
//
//   laplace   2 (ln L1 - ln L0) = 2 n ln(S0 / S1) under chi-squared of p degrees, S the sum of absolute residuals: likelihoods of a
//             Laplace density, the scale fitted to each side. What Besiroglu et al. 2024 report: their Huber density has so small a scale that
//             it is this one. Of a fit by absolute deviations (--delta 1e-8).
//   huber     2 (F0 - F1) k / (p s^2) under F of (p, n - p), by the scale of the fit itself (fit/profile.hpp). NaN where most residuals are beyond delta.
struct LikelihoodRatio {
  int parameters = 0, degrees = 0;  // p, n - p
  double laplace = 0, laplace_p = 0;
  double huber = 0, huber_p = 0;
};
LikelihoodRatio likelihood_ratio(const FittedLaw& fitted, const Vector& constants);

double chi_square_tail(double x, int degrees);  // P(chi-squared > x)

nlohmann::ordered_json likelihood_ratio_json(const FittedLaw& fitted, const LikelihoodRatio& test);
std::string likelihood_ratio_text(const FittedLaw& fitted, const LikelihoodRatio& test);

}  // namespace loglog::fit
