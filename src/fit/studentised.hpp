// Bootstrap-t: how many of its own standard errors the estimate of a resample lies from that of the data (Efron and Tibshirani 1993, section 12.5;
// Hall 1988).
//
// Resamples of a designed sweep may lack the runs that a number hangs on. Percentiles of such estimates are up to half too wide; over its
// standard error, which grows likewise, each of them counts as what it is.
#pragma once
#include <memory>
#include <optional>

#include "fit/intervals.hpp"

namespace loglog::fit {

struct Resampled {
  Vector theta{};  // centred
  std::optional<Matrix>
      covariance{};  // plain_covariance(); nothing where the resample does not determine theta
};

// Around `best`. A number that is positive in every resample is studentised as its logarithm. Where more than 2% of the resamples have no
// standard error, or none of the number at all (a floor that is 0 there), expanded percentiles by `t` stand in.
std::unique_ptr<Intervals> studentised_intervals(const Points& points, const Resampled& best,
                                                 std::vector<Resampled> samples, double t);

}  // namespace loglog::fit
