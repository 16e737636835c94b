// What happens to a strip of C after its last K block, while it is still in L1.
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

void gemm_f32_finish(const GemmFinish& f) noexcept {
  for (Index i = 0; i < f.m; ++i) {
    float* const c = f.c + i * f.c_row;
    for (Index j = 0; j < f.n; j += kWidth) {
      const Index left = f.n - j;
      Vec<float> x = load_up_to(c + j, left);
      if (f.bias != nullptr) x = x + load_up_to(f.bias + j, left);
      if (f.pre_activation != nullptr) store_up_to(f.pre_activation + i * f.pre_activation_row + j, x, left);
      if (f.gelu) x = gelu(x);
      if (f.residual != nullptr) x = x + load_up_to(f.residual + i * f.residual_row + j, left);
      store_up_to(c + j, x, left);
    }
  }
}

}  // namespace
}  // namespace loglog::kernels
