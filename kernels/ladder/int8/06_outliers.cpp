// Rung 6: outlier decomposition, the idea of LLM.int8().
//
// Idea      Features of A (columns) with a magnitude above 6 are multiplied in float32 with their rows of B; all others in int8,
//           whose scales the outliers no longer set. The two products are added.
// Gain      0.8 in time, for the search, the copies and the second product; the error falls to that of data without outliers.
// Limit     The share of outliers: at 1 feature of 100 the float product is a small part.
#include "kernels/gemm.hpp"
#include "kernels/ladder/int8/product.hpp"
#include "kernels/ladder/int8/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

constexpr float kThreshold = 6.0f;

std::vector<Index> outlier_features(const float* a, Index m, Index k) {
  std::vector<bool> found(static_cast<std::size_t>(k), false);
  for (Index i = 0; i < m; ++i)
    for (Index p = 0; p < k; ++p)
      if (std::abs(a[i * k + p]) > kThreshold) found[p] = true;
  std::vector<Index> features;
  for (Index p = 0; p < k; ++p)
    if (found[p]) features.push_back(p);
  return features;
}

void outliers(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  const std::vector<Index> features = outlier_features(a, m, k);
  const auto count = static_cast<Index>(features.size());
  std::vector<float> ordinary(a, a + m * k), apart(m * count), rows(count * n);
  for (Index x = 0; x < count; ++x) {
    const Index p = features[x];
    for (Index i = 0; i < m; ++i) apart[i * count + x] = std::exchange(ordinary[i * k + p], 0.0f);
    std::copy_n(b + p * n, n, rows.data() + x * n);
  }
  multiply_quantised(ctx, m, n, k, quantise_rows(ordinary.data(), m, k), quantise_columns(b, k, n), c);
  gemm(ctx, {apart.data(), m, count}, {rows.data(), count, n}, {c, m, n}, Accumulate::yes);
}

}  // namespace

const Int8Rung kOutliers = {
    .info = {.number = 6,
             .name = "outliers",
             .idea = "features above 6 in float32, all others in int8",
             .gain = 0.8,
             .why = "a search, copies and a second product; the gain is in accuracy",
             .loss = "the search, the copies and the second product; look at the error",
             .threads = true},
    .run = outliers,
};

}  // namespace loglog::kernels::ladder
