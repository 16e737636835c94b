// The row kernels by plain loops, on any scalar (float, double, std::complex<double>). One row each; formulas
// and sources in kernels/rowwise.hpp.
#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/reference/scalar.hpp"

namespace loglog::kernels::reference {

template <class S>
void layernorm_ref(S* out, S& mean, S& rstd, const S* in, const S* gain, const S* bias, Index cols,
                   double epsilon) {
  using std::sqrt;
  mean = S(0);
  for (Index j = 0; j < cols; ++j) mean += in[j];
  mean /= S(double(cols));
  S variance(0);
  for (Index j = 0; j < cols; ++j) variance += (in[j] - mean) * (in[j] - mean);
  variance /= S(double(cols));
  rstd = S(1) / sqrt(variance + S(epsilon));
  for (Index j = 0; j < cols; ++j) {
    out[j] = (in[j] - mean) * rstd * gain[j];
    if (bias != nullptr) out[j] += bias[j];
  }
}

// x / (1 + e^-2y) = 0.5 x (1 + tanh y): the same function without the cancellation that tanh near -1 has.
template <class S>
S gelu_ref(S x) {
  using std::exp;
  const S y = S(std::sqrt(2.0 / 3.14159265358979323846)) * (x + S(0.044715) * x * x * x);
  return x / (S(1) + exp(S(-2) * y));
}

template <class S>
S cross_entropy_ref(const S* logits, Index vocab, Index target) {
  using std::exp;
  using std::log;
  double maximum = real_part(logits[0]);
  for (Index j = 1; j < vocab; ++j) maximum = std::max(maximum, real_part(logits[j]));
  S sum(0);
  for (Index j = 0; j < vocab; ++j) sum += exp(logits[j] - S(maximum));
  return log(sum) + S(maximum) - logits[target];
}

template <class S>
void embedding_ref(S* out, const S* token_row, const S* position_row, Index cols) {
  for (Index j = 0; j < cols; ++j) out[j] = token_row[j] + position_row[j];
}

struct AdamWRef {
  double lr, beta1, beta2, epsilon, weight_decay, grad_scale;
  std::int64_t step;
};

template <class S>
void adamw_ref(S& param, S& m, S& v, S grad, const AdamWRef& a) {
  using std::sqrt;
  const S g = grad * S(a.grad_scale);
  m = S(a.beta1) * m + S(1.0 - a.beta1) * g;
  v = S(a.beta2) * v + S(1.0 - a.beta2) * g * g;
  const S first = m / S(1.0 - std::pow(a.beta1, double(a.step)));
  const S second = v / S(1.0 - std::pow(a.beta2, double(a.step)));
  param -= S(a.lr) * (first / (sqrt(second) + S(a.epsilon)) + S(a.weight_decay) * param);
}

}  // namespace loglog::kernels::reference
