#include "fit/law.hpp"

#include <algorithm>
#include <cmath>

namespace loglog::fit {
namespace {

double element(const Vector& v, int i) {
  return v[static_cast<std::size_t>(i)];
}

Quantity exponential(const std::string& name, int i) {
  return {name, [i](const Vector& theta) { return std::exp(element(theta, i)); }};
}
Quantity identity(const std::string& name, int i) {
  return {name, [i](const Vector& theta) { return element(theta, i); }};
}

Law power_law(const std::string& variable, bool with_floor) {
  Law law;
  law.name = "power-" + variable + (with_floor ? "-floor" : "");
  law.formula = std::string("L = ") + (with_floor ? "E + " : "") + "A / " + variable + "^alpha";
  law.source = with_floor ? "Henighan et al. 2020" : "Kaplan et al. 2020";
  law.variables = {variable};
  law.terms = {{{0, 0}}};
  law.exponents = 1;
  const int alpha = with_floor ? 2 : 1;
  if (with_floor) {
    law.terms.push_back({});
    law.params.push_back(exponential("E", 1));
  }
  law.params.push_back(exponential("A", 0));
  law.params.push_back(identity("alpha", alpha));
  // The scale at which the reducible loss is 1: Kaplan's N_c, D_c, C_c.
  law.params.push_back(
      {variable + "_c", [alpha](const Vector& theta) { return std::exp(theta[0] / element(theta, alpha)); }});
  return law;
}

// At fixed C = 6 N D the optimum of A/N^alpha + B/D^beta has N ~ C^(beta / (alpha + beta)).
std::vector<Quantity> optimum(std::function<double(const Vector&)> alpha,
                              std::function<double(const Vector&)> beta) {
  return {{"a", [=](const Vector& theta) { return beta(theta) / (alpha(theta) + beta(theta)); }},
          {"b", [=](const Vector& theta) { return alpha(theta) / (alpha(theta) + beta(theta)); }}};
}

Law chinchilla(bool tied) {
  Law law;
  law.name = tied ? "chinchilla-tied" : "chinchilla";
  law.formula = tied ? "L = E + A / N^alpha + B / D^alpha" : "L = E + A / N^alpha + B / D^beta";
  law.source = "Hoffmann et al. 2022, approach 3";
  law.variables = {"N", "D"};
  const int beta = tied ? 0 : 1;
  law.terms = {{{0, 0}}, {{1, beta}}, {}};
  law.exponents = tied ? 1 : 2;
  law.params = {exponential("E", 2), exponential("A", 0), identity("alpha", 3), exponential("B", 1)};
  if (!tied) law.params.push_back(identity("beta", 4));
  const int last = tied ? 3 : 4;
  law.optimum = optimum([](const Vector& theta) { return theta[3]; },
                        [last](const Vector& theta) { return element(theta, last); });
  return law;
}

// L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D; theta = (ratio * ln N_c, ln D_c, ratio, alpha_D).
Law kaplan() {
  Law law;
  law.name = "kaplan";
  law.formula = "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D";
  law.source = "Kaplan et al. 2020, equation 1.5";
  law.variables = {"N", "D"};
  law.terms = {{{0, 0}}, {{1, kFixedOne}}};
  law.exponents = 1;
  law.outer = true;
  law.params = {{"N_c", [](const Vector& theta) { return std::exp(theta[0] / theta[2]); }},
                {"alpha_N", [](const Vector& theta) { return theta[2] * theta[3]; }},
                exponential("D_c", 1),
                identity("alpha_D", 3)};
  law.optimum = optimum([](const Vector& theta) { return theta[2]; }, [](const Vector&) { return 1.0; });
  return law;
}

}  // namespace

const std::vector<Law>& laws() {
  static const std::vector<Law> list = {
      power_law("N", false), power_law("N", true),  power_law("D", false),
      power_law("D", true),  power_law("C", false), power_law("C", true),
      chinchilla(false),     chinchilla(true),      kaplan(),
  };
  return list;
}

const Law* find_law(std::string_view name) {
  for (const Law& law : laws()) {
    if (law.name == name) return &law;
  }
  return nullptr;
}

int Law::floor_index() const {
  for (int k = 0; k < coefficient_count(); ++k) {
    if (terms[static_cast<std::size_t>(k)].empty() && !outer) return k;
  }
  return -1;
}

double Law::log_loss(const Vector& theta, const double* log_x, Vector* gradient, Matrix* hessian) const {
  const int count = coefficient_count();
  const int size = parameter_count();
  const int inner = count + exponents;
  std::array<double, kMaxParameters> share{};  // first the log of each term, then its share of the sum
  double largest = -INFINITY;
  for (int k = 0; k < count; ++k) {
    double value = element(theta, k);
    for (const Factor& factor : terms[static_cast<std::size_t>(k)]) {
      const double power = factor.exponent == kFixedOne ? 1.0 : element(theta, count + factor.exponent);
      value -= power * log_x[factor.variable];
    }
    share[static_cast<std::size_t>(k)] = value;
    largest = std::max(largest, value);
  }
  double sum = 0;
  for (int k = 0; k < count; ++k) sum += std::exp(share[static_cast<std::size_t>(k)] - largest);
  const double log_sum = largest + std::log(sum);
  const double power = outer ? element(theta, size - 1) : 1.0;
  if (gradient == nullptr) return power * log_sum;

  // d ln(sum) / d theta = sum_k share_k v_k, with v_k the derivative of the k-th log term, which is constant.
  Vector& g = *gradient;
  g.fill(0);
  std::array<Vector, kMaxParameters> v{};
  for (int k = 0; k < count; ++k) {
    const auto index = static_cast<std::size_t>(k);
    share[index] = std::exp(share[index] - log_sum);
    v[index][index] = 1;
    for (const Factor& factor : terms[index]) {
      if (factor.exponent != kFixedOne) {
        v[index][static_cast<std::size_t>(count + factor.exponent)] -= log_x[factor.variable];
      }
    }
    for (int i = 0; i < inner; ++i) g[static_cast<std::size_t>(i)] += share[index] * element(v[index], i);
  }
  if (hessian != nullptr) {
    hessian->fill(0);
    for (int i = 0; i < inner; ++i) {
      for (int j = 0; j <= i; ++j) {
        double value = -element(g, i) * element(g, j);
        for (int k = 0; k < count; ++k) {
          const auto index = static_cast<std::size_t>(k);
          value += share[index] * element(v[index], i) * element(v[index], j);
        }
        at(*hessian, i, j) = at(*hessian, j, i) = power * value;
      }
    }
    if (outer) {  // L = sum^g: the mixed derivative is that of ln(sum), and ln L is linear in g
      for (int i = 0; i < inner; ++i) at(*hessian, size - 1, i) = at(*hessian, i, size - 1) = element(g, i);
    }
  }
  if (outer) {
    for (int i = 0; i < inner; ++i) g[static_cast<std::size_t>(i)] *= power;
    g[static_cast<std::size_t>(size - 1)] = log_sum;
  }
  return power * log_sum;
}

namespace {

Vector shift(const Law& law, Vector theta, std::span<const double> centres, double sign) {
  const int count = law.coefficient_count();
  for (int k = 0; k < count; ++k) {
    for (const Factor& factor : law.terms[static_cast<std::size_t>(k)]) {
      const double power = factor.exponent == kFixedOne ? 1.0 : element(theta, count + factor.exponent);
      theta[static_cast<std::size_t>(k)] += sign * power * centres[static_cast<std::size_t>(factor.variable)];
    }
  }
  return theta;
}

}  // namespace

Vector Law::restore(const Vector& theta, std::span<const double> centres) const {
  return shift(*this, theta, centres, 1.0);
}

Vector Law::centre(const Vector& theta, std::span<const double> centres) const {
  return shift(*this, theta, centres, -1.0);
}

double predict(const Law& law, const Vector& theta, std::span<const double> x) {
  std::vector<double> log_x;
  for (const double value : x) log_x.push_back(std::log(value));
  return std::exp(law.log_loss(theta, log_x.data(), nullptr, nullptr));
}

}  // namespace loglog::fit
