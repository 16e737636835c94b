// Minimising F: a grid of starts, a damped Newton descent from the best of them, and a certificate that the
// result is the minimum. Why Newton and not a library: docs/adr/0001-fit-solver.md.
#pragma once
#include <string>
#include <vector>

#include "fit/objective.hpp"

namespace loglog::fit {

// Thresholds of a certificate, on F divided by delta * (sum of weights): independent of units and of n.
inline constexpr double kGradientTolerance = 1e-9;
inline constexpr double kDecrementTolerance = 1e-10;

struct Descent {
  Vector theta{};
  double value = 0;      // F
  double gradient = 0;   // largest component of the scaled gradient, components held by a bound excepted
  double decrement = 0;  // what the next Newton step would still gain, scaled likewise
  int iterations = 0;
  std::vector<int> at_bounds;  // parameters
  double rounding = 0;         // of a residual, over delta: a gradient cannot be told from less
  bool converged() const {
    return gradient <= kGradientTolerance + rounding && decrement <= kDecrementTolerance;
  }
};

// Descends from `start` until no step gains anything in double precision, or for at most 200 steps.
Descent descend(const Points& points, std::span<const double> weights, Huber huber, const Bounds& bounds,
                const Vector& start);

// Of the form's starts the `keep` of lowest F, best first.
std::vector<Vector> best_starts(const Points& points, std::span<const double> weights, Huber huber, int keep);

struct Certificate {
  bool converged = false;
  int starts = 0;    // distinct starts that were followed to the end
  int agreeing = 0;  // of these, how many end within 1e-6 of the best value
  int other_minima =
      0;              // of these, how many end in a worse minimum, with a gradient and a decrement as small
  double spread = 0;  // largest difference of a parameter among the agreeing ends
  double gradient = 0;
  double decrement = 0;
  double min_eigenvalue = 0;  // of the scaled Hessian
  double condition = 0;       // of the column-normalised centred Jacobian
  double moved = 0;           // largest change of a parameter from the start that won
  std::vector<std::string> at_bounds;
};

struct Solution {
  Vector theta{};  // centred
  double value = 0;
  Certificate certificate;
};
// Follows the eight best starts of the grid, and `also_from` where it is given: a fit at a larger delta, which may
// be the only way in when delta is far below the residuals at every start.
Solution solve(const Points& points, std::span<const double> weights, Huber huber,
               const Vector* also_from = nullptr);
// Follows all of these.
Solution solve_from(const Points& points, std::span<const double> weights, Huber huber,
                    const std::vector<Vector>& starts);

// The same for starts that may lie anywhere, losses off by a factor e^20: each goes by Gauss-Newton steps to a minimum of least squares first,
// from there on to Huber's by smaller and smaller deltas. Starts that meet at a minimum of least squares share the rest of the way.
Solution solve_from_afar(const Points& points, std::span<const double> weights, Huber huber,
                         const std::vector<Vector>& starts);

// Hoffmann et al. 2022: alpha, beta in 0, .5 .. 2, ln E in -1, -.5 .. 1, ln A, ln B in 0, 5 .. 25; 4500 of them, centred. UsageError for a law of other
// parameters than chinchilla's.
std::vector<Vector> hoffmann_starts(const Points& points);

}  // namespace loglog::fit
