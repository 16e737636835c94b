// Rung 4: vectors, and sums in registers.
//
// Idea      The blocks of rung 3 for 64 queries at a time, so that a block of K is transposed once for all of them; scores and
//           outputs are sums in registers; a polynomial (simd/math.hpp) makes the exponentials of a whole vector.
// Gain      2: up to 4 times the width, and no call per score.
// Limit     Loads: one query at a time, so a vector of K or V that is loaded is used once. The library's tiles use it for 4 or
//           8 queries.
#pragma once
#include "kernels/ladder/attention.hpp"
#include "kernels/simd/ladder/softmax.hpp"

namespace loglog::kernels::ladder {
namespace {

constexpr int kQueries = 64;  // of a block, like kKeys
constexpr int kDepth = 128;   // of D at a time, so that a block has a size
constexpr int kKeyVectors = kKeys / kWidth;

struct AttentionBlock {
  alignas(64) float scores[kQueries][kKeys], transposed[kDepth][kKeys];
  float maximum[kQueries], sum[kQueries];

  // scores += q k' over `depth` elements of D; q and k are rows of D floats.
  void add_scores(Index queries, Index keys, Index depth, const float* q, const float* k, Index D) {
    for (Index d = 0; d < depth; ++d)
      for (Index x = 0; x < kKeys; ++x) transposed[d][x] = x < keys ? k[x * D + d] : 0.0f;
    for (Index t = 0; t < queries; ++t) {
      Vec<float> sums[kKeyVectors];
      unroll<kKeyVectors>([&](auto x) { sums[x] = load(scores[t] + x * kWidth); });
      for (Index d = 0; d < depth; ++d) {
        const Vec<float> q_td(q[t * D + d]);
        unroll<kKeyVectors>(
            [&](auto x) { sums[x] = muladd(q_td, load(transposed[d] + x * kWidth), sums[x]); });
      }
      unroll<kKeyVectors>([&](auto x) { store(scores[t] + x * kWidth, sums[x]); });
    }
  }
};

void attention_vectors(ExecContext&, const AttentionCall& c) {
  const Index T = c.time, D = c.size;
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(D));
  AttentionBlock block;
  clear(c.out, c.heads * T * D);
  for (Index h = 0; h < c.heads * T * D; h += T * D) {
    for (Index t0 = 0; t0 < T; t0 += kQueries) {
      const Index queries = smaller(kQueries, T - t0);
      for (Index s0 = 0; s0 < t0 + queries; s0 += kKeys) {
        clear(block.scores[0], kQueries * kKeys);
        for (Index d = 0; d < D; d += kDepth)
          block.add_scores(queries, smaller(kKeys, T - s0), smaller(kDepth, D - d), c.q + h + t0 * D + d,
                           c.k + h + s0 * D + d, D);
        for (Index t = 0; t < queries; ++t) {
          const Index visible = smaller(kKeys, t0 + t + 1 - s0);
          const float factor =
              softmax_step(block.scores[t], visible, scale, s0 == 0, block.maximum[t], block.sum[t]);
          add_values(c.out + h + (t0 + t) * D, factor, block.scores[t], visible, c.v + h + s0 * D, D);
        }
      }
      for (Index t = 0; t < queries; ++t)
        for (Index d = 0; d < D; ++d) c.out[h + (t0 + t) * D + d] /= block.sum[t];
    }
  }
}

constexpr AttentionRung kAttentionVectors = {
    .info = {.number = 4,
             .name = "vectors",
             .idea = "the widest vectors, sums in registers, and exp of a whole vector by a polynomial",
             .gain = 2,
             .why = "up to 4 times the width, and no call per score",
             .loss = "columns beside whole vectors, or no wider vectors here than the compiler uses anyway",
             .parts = true},
    .run = attention_vectors,
};

}  // namespace
}  // namespace loglog::kernels::ladder
