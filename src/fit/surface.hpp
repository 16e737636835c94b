// Approach 3 and its relatives: one parametric law through all points at once.
#pragma once
#include <functional>
#include <optional>

#include "fit/intervals.hpp"
#include "fit/law.hpp"
#include "fit/objective_choice.hpp"
#include "fit/result.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

struct SurfaceOptions {
  // Of the Huber loss on ln L. Empty: 1.345 x the estimated residual sd, 95% efficient under normal noise;
  // 1e-3 replays published fits, where it amounts to least absolute deviations.
  std::optional<double> delta;
  IntervalOptions intervals = {};                // no resamples: no intervals
  std::vector<std::vector<double>> places = {};  // where to predict the loss: the law's variables
  ObjectiveChoice objective = {};  // another than huber needs no delta, and raw losses no estimate of it
  bool hoffmann_starts = false;    // the 4500 of the paper, each to the end, in place of our grid
};

// InputError when there are fewer points than parameters + 2.
FitResult fit_surface(const Law& law, const Runs& runs, const SurfaceOptions& options);

}  // namespace loglog::fit
