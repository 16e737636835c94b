// Which learning rate and batch are best, as powers of N and D (Li et al. 2025, "Step Law"):
//
//   lr = k N^x D^y        batch = k D^z        batch in tokens
//
// In each cell, runs of one N and D, a full quadratic of ln loss in (ln lr, ln batch) through the runs whose loss is within a share of the
// cell's best; its minimum is the cell's optimum. Then straight lines through the logarithms of the optima.
#pragma once
#include "fit/result.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

struct StepLawOptions {
  double within = 0.01;  // of the best loss
  int resamples = 400;   // of cells; 0: no intervals
  std::uint64_t seed = 1;
};

// Of runs with N, D, lr, batch. A cell is left out, and why is said, whose quadratic has no minimum among its runs. Exponents of another share
// (half and twice) outside of their intervals are a warning: the law then depends on which runs count as nearly best. InputError below five cells.
FitResult fit_step_law(const Runs& runs, const StepLawOptions& options);

}  // namespace loglog::fit
