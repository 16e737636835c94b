// How wrong the law itself may be, in places where nobody ran.
//
// Besides noise a run departs from the best law of its form by delta(x), a random function of the logarithms x of N and D whose
// increments grow with distance,
//
//   E (delta(x) - delta(y))^2 = tau^2 |x - y|^(3/2)         |x - y| in natural logarithms
//
// a fractional Brownian field of Hurst exponent 3/4: between a rough one (1/2) and a straight line (1). tau^2 and the noise come from the
// residuals by restricted maximum likelihood (Patterson and Thompson 1971), which asks how much more alike neighbours are than runs far
// apart. So the law is held to be right where one looks, at the target of a prediction, and runs count for less the farther away they are;
// noise falls with every run, tau^2 does not.
#pragma once
#include <span>
#include <vector>

#include "fit/objective.hpp"

namespace loglog::fit {

inline constexpr double kDiscrepancyPower = 1.5;  // of the distance

struct Discrepancy {
  double tau_squared = 0;       // variance of ln L between runs that are a factor e apart
  double noise = 0;             // variance of ln L of one run
  double likelihood_ratio = 0;  // twice the gain in restricted log likelihood over none
  // At 5%: the statistic is 0 in half of all cases and chi-squared of one degree in the others (Self and Liang 1987).
  bool is_significant() const { return likelihood_ratio > 2.706; }
};

// At the minimum `theta` (centred). Residuals beyond three standard deviations count as three, so that a diverged run is no discrepancy. Of more
// than 300 points every k-th is taken, in order of their first variable: the work grows with the cube.
Discrepancy estimate_discrepancy(const Points& points, std::span<const double> weights, const Vector& theta);

// What the law's prediction at one place is off by, as variance of ln L: the fit weighs its runs, and each brings its noise and its distance.
class PredictionError {
 public:
  // log_x: the law's variables, natural logarithms, not centred. Keeps a reference to the points.
  PredictionError(const Points& points, std::span<const double> weights, Huber huber, const Vector& theta,
                  const Discrepancy& discrepancy, std::vector<double> log_x);
  double variance() const { return variance_with({}); }  // of the law; a run there has discrepancy.noise more
  // After these runs more, at log_x each, of weight 1. May be larger: runs far away can do harm.
  double variance_with(const std::vector<std::vector<double>>& more) const;

 private:
  struct Run {
    std::vector<double> from_target;  // logarithms
    Vector gradient{};                // of ln L
    double weight = 1;                // in the fit
    double noise = 0;                 // variance
  };
  Run run_at(const std::vector<double>& centred_x, double weight, double noise_weight) const;
  std::vector<double> centred(std::vector<double> log_x) const;

  const Points& points_;
  Vector theta_;
  Discrepancy discrepancy_;
  std::vector<double> target_;       // centred
  Vector gradient_{};                // of ln L there
  std::vector<Run> runs_;            // that were fitted
  Matrix normal_{};                  // J'WJ of them
  std::vector<double> covariances_;  // of their discrepancies for tau = 1, (n, n)
};

}  // namespace loglog::fit
