// Rung 2: vector-wise scales.
//
// Idea      A scale per row of A and per column of B. C[i,j] needs just one of each, so the sum of whole numbers is unchanged.
// Gain      1 in time, for the same loops; what it gains is accuracy: a large row no longer sets the scale of all others.
// Limit     An outlier feature, a column of A, is in every row and still sets every scale.
#include "kernels/ladder/int8/quantise.hpp"
#include "kernels/ladder/int8/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void vector_wise(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  const Quantised qa = quantise_rows(a, m, k), qb = quantise_columns(b, k, n);
  std::vector<std::int32_t> sums(static_cast<std::size_t>(n));
  for (Index i = 0; i < m; ++i) {
    std::ranges::fill(sums, 0);
    for (Index p = 0; p < k; ++p) {
      const std::int32_t a_ip = qa.values[i * k + p];
      for (Index j = 0; j < n; ++j) sums[j] += a_ip * qb.values[p * n + j];
    }
    for (Index j = 0; j < n; ++j) c[i * n + j] = static_cast<float>(sums[j]) * (qa.scales[i] * qb.scales[j]);
  }
}

}  // namespace

const Int8Rung kVectorWise = {
    .info = {.number = 2,
             .name = "vector-wise",
             .idea = "a scale per row of A and per column of B",
             .gain = 1,
             .why = "the same loops; the gain is in accuracy",
             .loss = "finding a scale per column reads B once more"},
    .run = vector_wise,
};

}  // namespace loglog::kernels::ladder
