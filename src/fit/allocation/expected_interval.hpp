// How wide an interval will be before anything is run: a law that is taken to be true, places, and the noise of their losses.
//
//   half-width = t(0.975, n - p) sd,   sd^2 = sum_i s_i^2 (v . J_i)^2 / 0.95,   J'J v = g
//
// J_i the slope of ln L_i by the law's parameters, g that of the quantity, s_i the noise of ln L_i; 0.95 the efficiency of the Huber loss that
// fits use. It is the sampling error alone: what is wrong with the law is in no interval.
#pragma once
#include <cstdint>
#include <vector>

#include "fit/law.hpp"

namespace loglog::fit {

struct PlannedRun {
  std::vector<double> x;  // the law's variables
  double noise = 0;       // standard deviation of ln loss
};

// What is taken to be true.
struct AssumedLaw {
  const Law& law;
  Vector theta{};  // not centred
};

// Infinite where the runs do not determine the quantity, or are too few.
double expected_half_width(const AssumedLaw& assumed, const std::vector<PlannedRun>& runs,
                           const Quantity& quantity);

// The same from `sweeps` of such runs with losses drawn, each fitted.
struct SimulatedWidth {
  double half_width = 0;
  double error = 0;  // standard deviation of half_width for so many sweeps
};
SimulatedWidth simulated_half_width(const AssumedLaw& assumed, const std::vector<PlannedRun>& runs,
                                    const Quantity& quantity, int sweeps, std::uint64_t seed);

// A parameter or an exponent of the optimum, by its name. UsageError with those that the law has.
const Quantity& quantity_named(const Law& law, const std::string& name);
// The loss at a place: its logarithm, which is what varies evenly. The half-width is a share of the loss.
Quantity log_loss_at(const Law& law, const std::vector<double>& x);

}  // namespace loglog::fit
