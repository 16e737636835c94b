// Approach 1: the runs that no cheaper run beats, and power laws of their size and tokens in C.
#pragma once
#include "fit/result.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

struct EnvelopeOptions {
  int bootstrap = 400;
  std::uint64_t seed = 1;
};

// `runs` holds N, D, C and only losses of finished or cooled-down runs (RunOptions::finished_only): a loss
// read in the middle of a schedule is higher than the same compute would give, and bends the envelope. Each
// budget gives its best run; a best run at the smallest or largest of three or more sizes is dropped and
// said. InputError below four points.
FitResult fit_envelope(const Runs& runs, const EnvelopeOptions& options);

}  // namespace loglog::fit
