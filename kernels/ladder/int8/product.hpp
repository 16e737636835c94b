// The product of rungs 3 to 6: vector-wise scales around kernels/gemm_s8.hpp.
#pragma once
#include "kernels/gemm_s8.hpp"
#include "kernels/ladder/int8/quantise.hpp"

namespace loglog::kernels::ladder {

inline void multiply_quantised(ExecContext& ctx, Index m, Index n, Index k, const Quantised& a,
                               const Quantised& b, float* c) {
  std::vector<std::int32_t> sums(static_cast<std::size_t>(m * n));
  gemm_s8(ctx, {a.values.data(), m, k}, {b.values.data(), k, n}, {sums.data(), m, n});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j)
      c[i * n + j] = static_cast<float>(sums[i * n + j]) * (a.scales[i] * b.scales[j]);
}

}  // namespace loglog::kernels::ladder
