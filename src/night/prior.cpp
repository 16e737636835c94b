#include "night/prior.hpp"

#include <cmath>

namespace loglog::night {

double prior_loss(double N, double D) {
  return 0.52 + 14.2 * std::pow(N, -0.256) + 110 * std::pow(D, -0.337);
}

}  // namespace loglog::night
