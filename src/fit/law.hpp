// Scaling laws as data: every law here is a sum of power-law terms, optionally raised to a power,
//
//   L(x) = [ sum_k exp(c_k) * prod_j x_j^(-p_kj) ]^g          g = 1 unless `outer`
//
// so one evaluator gives the value, gradient and Hessian of ln L for all of them, by log-sum-exp
// (Hoffmann et al. 2022, equation 10). Adding a law is one entry of the list in law.cpp. A law of another
// form needs only log_loss(), start() and restore(), which are all that objective, solve and bootstrap call.
//
// The vector theta holds the coefficients c_k, one per term, then the exponents, then g where there is one.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fit/dense.hpp"

namespace loglog::fit {

// x_variable^(-theta[exponent]); a fixed power of -1 when exponent is kFixedOne.
inline constexpr int kFixedOne = -1;
struct Factor {
  int variable;
  int exponent;  // index among the exponents
};
using Term = std::vector<Factor>;  // no factors: a constant, the floor E

// A number that the user sees, made of the uncentred theta.
struct Quantity {
  std::string name;
  std::function<double(const Vector& theta)> value;
};

struct Law {
  std::string name;
  std::string formula;                 // as the literature writes it
  std::string source;                  // who proposed it
  std::vector<std::string> variables;  // the columns it needs besides loss
  std::vector<Term> terms;
  int exponents = 0;
  bool outer = false;
  std::vector<Quantity> params;   // in the order of the output
  std::vector<Quantity> optimum;  // exponents a of N_opt ~ C^a and b of D_opt ~ C^b where the law has them

  int coefficient_count() const { return static_cast<int>(terms.size()); }
  int parameter_count() const { return coefficient_count() + exponents + (outer ? 1 : 0); }
  int floor_index() const;  // parameter that is ln E, or -1

  // ln L at log_x (one per variable, natural logs). Where not null, gradient and Hessian with respect to theta.
  double log_loss(const Vector& theta, const double* log_x, Vector* gradient, Matrix* hessian) const;

  // theta for log_x - centres turned into theta for log_x.
  Vector restore(const Vector& theta, std::span<const double> centres) const;
  Vector centre(const Vector& theta, std::span<const double> centres) const;  // the inverse
};

const std::vector<Law>& laws();
const Law* find_law(std::string_view name);  // null when there is none

// Loss that the law predicts; x in the units of the data.
double predict(const Law& law, const Vector& theta, std::span<const double> x);

}  // namespace loglog::fit
