// The row kernels by plain loops, on any scalar (float, double, std::complex<double>). One row each; formulas
// and sources in kernels/rowwise/*.hpp.
#pragma once
#include <cmath>
#include <complex>
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

template <class S>
void rmsnorm_ref(S* out, S& rstd, const S* in, const S* gain, Index cols, double epsilon) {
  using std::sqrt;
  S mean(0);
  for (Index j = 0; j < cols; ++j) mean += in[j] * in[j];
  rstd = S(1) / sqrt(mean / S(double(cols)) + S(epsilon));
  for (Index j = 0; j < cols; ++j) out[j] = in[j] * rstd * gain[j];
}

// x / (1 + e^-2y) = 0.5 x (1 + tanh y): the same function without the cancellation that tanh near -1 has.
template <class S>
S gelu_ref(S x) {
  using std::exp;
  const S y = S(std::sqrt(2.0 / 3.14159265358979323846)) * (x + S(0.044715) * x * x * x);
  return x / (S(1) + exp(S(-2) * y));
}

// x Phi(x). std::erfc takes real numbers alone: for a complex step the derivative of Phi is written out.
inline double normal_cdf_ref(double x) {
  return 0.5 * std::erfc(-x * std::sqrt(0.5));
}
inline std::complex<double> normal_cdf_ref(std::complex<double> x) {
  const double density = std::exp(-0.5 * x.real() * x.real()) * std::sqrt(0.5 / 3.14159265358979323846);
  return {normal_cdf_ref(x.real()), x.imag() * density};
}
template <class S>
S gelu_erf_ref(S x) {
  return x * S(normal_cdf_ref(x));
}

template <class S>
S silu_ref(S x) {
  using std::exp;
  return x / (S(1) + exp(-x));
}

template <class S>
S relu_ref(S x) {
  return real_part(x) > 0.0 ? x : S(0);
}

template <class S>
void softmax_ref(S* out, const S* in, Index cols, double scale) {
  using std::exp;
  double maximum = -std::numeric_limits<double>::infinity();
  for (Index j = 0; j < cols; ++j) maximum = std::max(maximum, scale * real_part(in[j]));
  S sum(0);
  for (Index j = 0; j < cols; ++j) sum += out[j] = exp(S(scale) * in[j] - S(maximum));
  for (Index j = 0; j < cols; ++j) out[j] /= sum;
}

// One head of `size` elements, of which 2 * pairs turn by position * base^(-i / pairs).
template <class S>
void rotary_ref(S* out, const S* in, Index size, Index pairs, bool interleaved, double position,
                double base) {
  for (Index j = 2 * pairs; j < size; ++j) out[j] = in[j];
  for (Index i = 0; i < pairs; ++i) {
    const double angle = position * std::pow(base, -double(i) / double(pairs));
    const Index a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + pairs;
    out[a] = in[a] * S(std::cos(angle)) - in[b] * S(std::sin(angle));
    out[b] = in[b] * S(std::cos(angle)) + in[a] * S(std::sin(angle));
  }
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

struct SgdRef {
  double lr, momentum, weight_decay, grad_scale;
  bool nesterov;
  bool decoupled = false;
};

template <class S>
void sgd_ref(S& param, S& velocity, S grad, const SgdRef& a) {
  const S g = grad * S(a.grad_scale) + S(a.decoupled ? 0 : a.weight_decay) * param;
  velocity = S(a.momentum) * velocity + g;
  if (a.decoupled) param *= S(1 - a.lr * a.weight_decay);
  param -= S(a.lr) * (a.nesterov ? g + S(a.momentum) * velocity : velocity);
}

}  // namespace loglog::kernels::reference
