// The epilogue of a strip of C, after its last K block and while it is still in L1.
#pragma once
#include "kernels/simd/math.hpp"
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

[[gnu::always_inline]] inline Vec<float> load_up_to(const float* p, Index n) {
  return n >= kWidth ? load(p) : load_partial(p, n);
}
[[gnu::always_inline]] inline void store_up_to(float* p, Vec<float> v, Index n) {
  if (n >= kWidth) return store(p, v);
  store_partial(p, v, n);
}

void gemm_f32_epilogue(const EpilogueStrip& e) noexcept {
  for (Index i = 0; i < e.m; ++i) {
    float* const c = e.c + i * e.c_row;
    for (Index j = 0; j < e.n; j += kWidth) {
      const Index left = e.n - j;
      Vec<float> x = load_up_to(c + j, left);
      if (e.bias != nullptr) x = x + load_up_to(e.bias + j, left);
      if (e.pre_activation != nullptr) store_up_to(e.pre_activation + i * e.pre_activation_row + j, x, left);
      if (e.gelu) x = gelu(x);
      if (e.residual != nullptr) x = x + load_up_to(e.residual + i * e.residual_row + j, left);
      store_up_to(c + j, x, left);
    }
  }
}

}  // namespace
}  // namespace loglog::kernels
