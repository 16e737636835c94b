// The product of rungs 12 and 13: operands rounded to bfloat16 around kernels/gemm_bf16.hpp.
#pragma once
#include <vector>

#include "kernels/gemm_bf16.hpp"

namespace loglog::kernels::ladder {

inline std::vector<bf16> rounded(const float* x, Index count) {
  std::vector<bf16> halves(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) halves[static_cast<std::size_t>(i)] = to_bf16(x[i]);
  return halves;
}

inline void multiply_rounded(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b,
                             float* c) {
  const std::vector<bf16> a_halves = rounded(a, m * k), b_halves = rounded(b, k * n);
  gemm_bf16(ctx, {a_halves.data(), m, k}, {b_halves.data(), k, n}, {c, m, n});
}

}  // namespace loglog::kernels::ladder
