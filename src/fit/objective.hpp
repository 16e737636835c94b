// What approach 3 minimises: F(theta) = sum_i w_i Huber_delta(ln L(x_i; theta) - ln L_i), a SUM over points,
// natural logs, Huber(r) = r^2/2 for |r| <= delta, else delta (|r| - delta/2).
//
// Where the law's form is centred theta belongs to centred logs, each ln x minus its mean (fit/power_sum.hpp).
#pragma once
#include <span>
#include <vector>

#include "fit/law.hpp"

namespace loglog::fit {

// Points of a fit. Immutable; a bootstrap resample is the same points under other weights.
class Points {
 public:
  // columns[v][i]: variable v of point i, positive; loss[i] positive. All of one length.
  Points(const Law& law, const std::vector<std::vector<double>>& columns, std::span<const double> loss);

  const Law& law() const noexcept { return *law_; }
  int size() const noexcept { return static_cast<int>(log_loss_.size()); }
  const double* log_x(int i) const noexcept { return log_x_.data() + i * variables_; }  // less the centres
  double log_loss(int i) const noexcept { return log_loss_[static_cast<std::size_t>(i)]; }
  std::span<const double> centres() const noexcept { return centres_; }  // 0 of a form that is not centred
  double decades(int variable) const;                                    // log10(max / min)
  std::pair<double, double> range(int variable) const;                   // least and largest ln x
  double lowest_log_loss() const;
  Points with_log_losses(std::vector<double> log_loss) const;  // the same points with other losses

 private:
  const Law* law_;  // of laws(), or one that lives as long
  int variables_;
  std::vector<double> log_x_;  // (n, variables)
  std::vector<double> log_loss_;
  std::vector<double> centres_;
};

// The loss on one residual, predicted less observed: of ln L, or of L itself. Weights that differ by sign make the fit a quantile's.
struct Huber {
  double delta = 1e-3;
  double over = 1, under = 1;  // factors where the law lies above the run, and below
  bool raw = false;            // residuals of L
  double side(double r) const noexcept { return r > 0 ? over : under; }
  double value(double r) const noexcept;
  double slope(double r) const noexcept;
  bool is_symmetric() const noexcept { return over == under; }
};
double residual(const Points& points, int i, Huber huber, const Vector& theta);

double objective(const Points& points, std::span<const double> weights, Huber huber, const Vector& theta);

// F with its gradient, its Hessian and the positive semidefinite part J' W J of it, W = w_i * slope(r_i) / r_i.
struct Expansion {
  double value = 0;
  Vector gradient{};
  Matrix hessian{};
  Matrix gauss_newton{};
};
Expansion expand(const Points& points, std::span<const double> weights, Huber huber, const Vector& theta,
                 bool with_hessian = true);  // else it is zero

std::vector<double> residuals(const Points& points, const Vector& theta);  // ln predicted - ln observed

// Condition number of the Jacobian of ln L with its columns scaled to length one; inf when a column is zero.
double jacobian_condition(const Points& points, const Vector& theta);

}  // namespace loglog::fit
