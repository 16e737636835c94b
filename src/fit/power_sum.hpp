// Laws that are sums of power-law terms, optionally raised to a power,
//
//   L(x) = [ sum_k exp(c_k) * prod_j x_j^(-p_kj) ]^g          g = 1 unless `outer`
//
// so that one evaluator gives value, gradient and Hessian of ln L for all of them, by log-sum-exp (Hoffmann et al. 2022, equation 10).
//
// theta holds the coefficients c_k, one per term, then the exponents, then g where there is one. Centring moves the coefficients: it divides
// the condition number on real sweeps by four to seven.
#pragma once
#include "fit/law_form.hpp"

namespace loglog::fit {

// x_variable^(-theta[exponent]); a fixed power of -1 when exponent is kFixedOne.
inline constexpr int kFixedOne = -1;
struct Factor {
  int variable;
  int exponent;  // index among the exponents
};
using Term = std::vector<Factor>;  // no factors: a constant, the floor E

class PowerSum final : public LawForm {
 public:
  PowerSum(std::vector<std::string> variables, std::vector<Term> terms, int exponents, bool outer = false);

  int parameter_count() const override { return coefficient_count() + exponents_ + (outer_ ? 1 : 0); }
  std::string parameter_name(int index) const override;
  int floor_index() const override;
  double log_loss(const Vector& theta, const double* log_x, Vector* gradient, Matrix* hessian) const override;
  void log_losses(const Vector& theta, LossBatch& batch) const override;
  Vector restore(const Vector& theta, std::span<const double> centres) const override;
  Vector centre(const Vector& theta, std::span<const double> centres) const override;
  bool is_centred() const override { return true; }
  Bounds bounds(const Points& points) const override;
  // A grid of 12 values for each exponent, the coefficients by least squares.
  std::vector<Vector> starts(const Points& points, std::span<const double> weights) const override;

  const std::vector<Term>& terms() const { return terms_; }
  int coefficient_count() const { return static_cast<int>(terms_.size()); }
  bool outer() const { return outer_; }

 private:
  void add_term(int k, const LossBatch::Lane& share, LossBatch& batch) const;
  Vector start_at(const Points& points, std::span<const double> weights, const Vector& exponents) const;
  Vector shifted(Vector theta, std::span<const double> centres, double sign) const;

  std::vector<std::string> variables_;
  std::vector<Term> terms_;
  int exponents_;
  bool outer_;
};

}  // namespace loglog::fit
