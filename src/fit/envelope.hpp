// Approach 1: the runs that no cheaper run beats, and power laws of their size and tokens in C.
#pragma once
#include "fit/result.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

struct EnvelopeOptions {
  bool intervals = true;
};

// `runs` holds N, D, C and only losses of finished or cooled-down runs (RunOptions::finished_only): a loss
// read in the middle of a schedule is higher than the same compute would give, and bends the envelope. Each
// budget gives its best run; a best run at the smallest or largest of three or more sizes is dropped and
// said. Intervals come from how the points scatter about their line, which holds both the noise and that sizes lie on a grid: the best run of a
// budget is a step away from the optimum as often as not, and drawing runs again makes that two steps. InputError below four points.
FitResult fit_envelope(const Runs& runs, const EnvelopeOptions& options);

}  // namespace loglog::fit
