// Which loss on residuals a fit minimises: all are limits of the (asymmetric) Huber loss, and share its solver.
#pragma once
#include <string>
#include <string_view>

#include "fit/objective.hpp"

namespace loglog::fit {

struct ObjectiveChoice {
  enum class Kind { huber, lad, lsq, quantile };  // lad: absolute deviations; lsq: squares
  Kind kind = Kind::huber;
  double tau = 0.5;  // quantile: the share of runs below the law; lad is tau = 1/2
  bool raw = false;  // residuals of the loss in place of ln loss

  bool has_corners() const { return kind == Kind::lad || kind == Kind::quantile; }
  // The loss to minimise; of one with corners, Huber's with a delta far below the residuals, reached from large ones. `delta` is Huber's own.
  Huber loss(double delta) const;
  // What is printed: sums over points of Huber's loss, |r|, r^2, or tau r where the run lies above the law and (1 - tau) |r| below it.
  double value(const Points& points, std::span<const double> weights, double delta,
               const Vector& theta) const;
  std::string name() const;  // "quantile-sum, tau = 0.0909, of raw loss"
};

// "huber", "lad", "lsq" or "quantile:TAU" with 0 < TAU < 1; UsageError.
ObjectiveChoice objective_named(std::string_view text, bool raw);

}  // namespace loglog::fit
