// Rung 3: blocks of keys.
//
// Idea      Take 64 keys at a time: their scores, one maximum, one factor for what was summed before. K comes in transposed, so
//           that the inner loop of the scores runs over keys, not down one chain of additions.
// Gain      2: 64 independent sums instead of one, which the compiler makes vectors of.
// Limit     exp, a call per score; and vectors of 4 floats.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ladder/attention/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

constexpr Index kKeys = 64;

void blocks(ExecContext&, const AttentionCall& c) {
  const Index T = c.time, D = c.size;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  std::vector<float> transposed(static_cast<std::size_t>(D * kKeys)), maximum(T), sum(T);
  for (Index h = 0; h < c.heads; ++h) {
    const float *q = c.q + h * T * D, *k = c.k + h * T * D, *v = c.v + h * T * D;
    float* out = c.out + h * T * D;
    std::fill_n(out, T * D, 0.0f);
    std::ranges::fill(maximum, -INFINITY);
    std::ranges::fill(sum, 0.0f);
    for (Index s0 = 0; s0 < T; s0 += kKeys) {
      const Index width = std::min(kKeys, T - s0);
      for (Index d = 0; d < D; ++d)
        for (Index x = 0; x < kKeys; ++x) transposed[d * kKeys + x] = x < width ? k[(s0 + x) * D + d] : 0.0f;
      for (Index t = s0; t < T; ++t) {
        float p[kKeys] = {};
        for (Index d = 0; d < D; ++d)
          for (Index x = 0; x < kKeys; ++x) p[x] += q[t * D + d] * transposed[d * kKeys + x];
        const Index visible = std::min(width, t - s0 + 1);
        const float largest = std::max(maximum[t], scale * *std::max_element(p, p + visible));
        const float factor = std::exp(maximum[t] - largest);
        maximum[t] = largest;
        sum[t] *= factor;
        for (Index d = 0; d < D; ++d) out[t * D + d] *= factor;
        for (Index x = 0; x < visible; ++x) sum[t] += p[x] = std::exp(scale * p[x] - largest);
        for (Index x = 0; x < visible; ++x)
          for (Index d = 0; d < D; ++d) out[t * D + d] += p[x] * v[(s0 + x) * D + d];
      }
    }
    for (Index t = 0; t < T; ++t)
      for (Index d = 0; d < D; ++d) out[t * D + d] /= sum[t];
  }
}

}  // namespace

const AttentionRung kAttentionBlocks = {
    .info = {.number = 3,
             .name = "blocks",
             .idea = "64 keys at a time, K transposed: one maximum and one factor per block",
             .gain = 2,
             .why = "64 independent sums instead of one chain, and an exp for the factor only once per block",
             .parts = true},
    .run = blocks,
};

}  // namespace loglog::kernels::ladder
