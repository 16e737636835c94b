// Rung 1: absmax, one scale per matrix.
//
// Idea      The largest magnitude becomes 127. Multiply whole numbers, which is exact in int32, and scale the sums back.
// Gain      none yet: this is what the others are measured against.
// Limit     One outlier sets the scale of everything else: ordinary values keep few of their 8 bits. And the loops are those
//           of the second rung of gemm.
#include <algorithm>

#include "kernels/ladder/int8/quantise.hpp"
#include "kernels/ladder/int8/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

float scale_of_all(const float* x, Index count) {
  float largest = 0.0f;
  for (Index i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i]));
  return scale_of(largest);
}

void absmax(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  const float scale_a = scale_of_all(a, m * k), scale_b = scale_of_all(b, k * n);
  std::vector<std::int8_t> qb(static_cast<std::size_t>(k * n));
  for (Index i = 0; i < k * n; ++i) qb[i] = quantise(b[i], scale_b);
  std::vector<std::int32_t> sums(static_cast<std::size_t>(n));
  for (Index i = 0; i < m; ++i) {
    std::ranges::fill(sums, 0);
    for (Index p = 0; p < k; ++p) {
      const std::int32_t qa = quantise(a[i * k + p], scale_a);
      for (Index j = 0; j < n; ++j) sums[j] += qa * qb[p * n + j];
    }
    for (Index j = 0; j < n; ++j) c[i * n + j] = static_cast<float>(sums[j]) * (scale_a * scale_b);
  }
}

}  // namespace

const Int8Rung kAbsmax = {
    .info = {.number = 1,
             .name = "absmax",
             .idea = "the largest magnitude of each matrix becomes 127",
             .gain = 0,
             .why = "the start"},
    .run = absmax,
};

}  // namespace loglog::kernels::ladder
