// Rung 2: online softmax.
//
// Idea      The largest score need not be known beforehand: keep the largest so far, and when a larger one comes, multiply what
//           was summed by exp(old - new). One pass over the keys, and no T x T matrix.
// Gain      1: the arithmetic stays, with a comparison and an exp more per key. What it saves is memory: T instead of T x T.
// Limit     The chain of additions in each score, and one exp per score, 4 bytes at a time.
#include <algorithm>
#include <cmath>

#include "kernels/ladder/attention/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void online_softmax(ExecContext&, const AttentionCall& c) {
  const Index T = c.time, D = c.size;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  for (Index row = 0; row < c.heads * T; ++row) {  // row t of head h
    const Index t = row % T;
    const float *q = c.q + row * D, *k = c.k + (row - t) * D, *v = c.v + (row - t) * D;
    float* out = c.out + row * D;
    float maximum = -INFINITY, sum = 0.0f;
    std::fill_n(out, D, 0.0f);
    for (Index s = 0; s <= t; ++s) {
      float score = 0.0f;
      for (Index d = 0; d < D; ++d) score += q[d] * k[s * D + d];
      score *= scale;
      if (score > maximum) {
        const float factor = std::exp(maximum - score);  // 0 at first
        for (Index d = 0; d < D; ++d) out[d] *= factor;
        sum *= factor;
        maximum = score;
      }
      const float p = std::exp(score - maximum);
      sum += p;
      for (Index d = 0; d < D; ++d) out[d] += p * v[s * D + d];
    }
    for (Index d = 0; d < D; ++d) out[d] /= sum;
  }
}

}  // namespace

const AttentionRung kOnlineSoftmax = {
    .info = {.number = 2,
             .name = "online-softmax",
             .idea = "one pass over the keys with a running maximum: no T x T matrix",
             .gain = 1,
             .why = "the same arithmetic; memory is T instead of T x T",
             .loss =
                 "a comparison and sometimes a second exp per key, while the T x T matrix fits into a cache",
             .parts = true},
    .run = online_softmax,
};

}  // namespace loglog::kernels::ladder
