// Elements of rowwise/optimizer.hpp.
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

void adamw_elements(float* param, float* m, float* v, const float* grad, Index n,
                    const AdamWCoefficients& c) noexcept {
  const MutableRow params{param, n}, ms{m, n}, vs{v, n};
  const Row grads{grad, n};
  for_vectors(n, [&](Index j, auto whole) {
    const F32 g = grads.at(j, whole) * F32(c.grad_scale);
    const F32 first = muladd(F32(c.beta1), ms.at(j, whole), F32(c.one_minus_beta1) * g);
    const F32 second = muladd(F32(c.beta2), vs.at(j, whole), F32(c.one_minus_beta2) * (g * g));
    ms.put(j, first, whole);
    vs.put(j, second, whole);
    const F32 step = first * F32(c.correct1) / (sqrt(second * F32(c.correct2)) + F32(c.epsilon));
    const F32 p = params.at(j, whole);
    params.put(j, p - F32(c.lr) * muladd(F32(c.weight_decay), p, step), whole);
  });
}

void sgd_elements(float* param, const float* grad, Index n, const SgdCoefficients& c) noexcept {
  const MutableRow params{param, n};
  const Row grads{grad, n};
  for_vectors(n, [&](Index j, auto whole) {
    const F32 p = params.at(j, whole);
    const F32 g = muladd(F32(c.weight_decay), p, grads.at(j, whole) * F32(c.grad_scale));
    params.put(j, p * F32(c.keep) - F32(c.lr) * g, whole);
  });
}

template <bool nesterov>
void sgd_momentum_elements(float* param, float* velocity, const float* grad, Index n,
                           const SgdCoefficients& c) noexcept {
  const MutableRow params{param, n}, velocities{velocity, n};
  const Row grads{grad, n};
  for_vectors(n, [&](Index j, auto whole) {
    const F32 p = params.at(j, whole);
    const F32 g = muladd(F32(c.weight_decay), p, grads.at(j, whole) * F32(c.grad_scale));
    const F32 v = muladd(F32(c.momentum), velocities.at(j, whole), g);
    velocities.put(j, v, whole);
    const F32 step = nesterov ? muladd(F32(c.momentum), v, g) : v;
    params.put(j, p * F32(c.keep) - F32(c.lr) * step, whole);
  });
}

}  // namespace
}  // namespace loglog::kernels
