// The product of rungs 12 and 13: operands rounded to bfloat16 around kernels/gemm_bf16.hpp.
#pragma once
#include "kernels/gemm_bf16.hpp"
#include "kernels/rowwise/convert.hpp"

namespace loglog::kernels::ladder {

inline void multiply_rounded(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b,
                             float* c) {
  ScratchFrame frame(ctx.scratch);
  const Matrix<bf16> a_halves(frame.take<bf16>(static_cast<std::size_t>(m * k)), m, k);
  const Matrix<bf16> b_halves(frame.take<bf16>(static_cast<std::size_t>(k * n)), k, n);
  convert(ctx, a_halves, {a, m, k});
  convert(ctx, b_halves, {b, k, n});
  gemm_bf16(ctx, a_halves, b_halves, {c, m, n});
}

// Bytes of scratch that the rounded operands take.
inline std::size_t rounded_bytes(Index m, Index n, Index k) {
  const auto bytes = [](Index elements) {
    return round_up_to_cache_line(static_cast<std::size_t>(elements) * sizeof(bf16));
  };
  return bytes(m * k) + bytes(k * n);
}

}  // namespace loglog::kernels::ladder
