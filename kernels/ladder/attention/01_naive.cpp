// Rung 1: the definition, with the whole T x T matrix.
//
// Idea      Three passes: all scores, softmax of each row, weights times values.
// Gain      none yet: this is what the others are measured against.
// Limit     Memory: T x T floats per head are written and read three times. And each score is one chain of additions.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ladder/attention/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void naive(ExecContext&, const AttentionCall& c) {
  const Index T = c.time, D = c.size;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  std::vector<float> p(static_cast<std::size_t>(T * T));
  for (Index h = 0; h < c.heads; ++h) {
    const float *q = c.q + h * T * D, *k = c.k + h * T * D, *v = c.v + h * T * D;
    float* out = c.out + h * T * D;
    for (Index t = 0; t < T; ++t) {
      for (Index s = 0; s <= t; ++s) {
        float sum = 0.0f;
        for (Index d = 0; d < D; ++d) sum += q[t * D + d] * k[s * D + d];
        p[t * T + s] = sum * scale;
      }
    }
    for (Index t = 0; t < T; ++t) {
      float* row = &p[t * T];
      const float maximum = *std::max_element(row, row + t + 1);
      float sum = 0.0f;
      for (Index s = 0; s <= t; ++s) sum += row[s] = std::exp(row[s] - maximum);
      for (Index s = 0; s <= t; ++s) row[s] /= sum;
    }
    std::fill_n(out, T * D, 0.0f);
    for (Index t = 0; t < T; ++t) {
      for (Index s = 0; s <= t; ++s) {
        for (Index d = 0; d < D; ++d) out[t * D + d] += p[t * T + s] * v[s * D + d];
      }
    }
  }
}

}  // namespace

const AttentionRung kNaive = {
    .info = {.number = 1,
             .name = "naive",
             .idea = "scores, softmax, weighted sum: a T x T matrix in memory",
             .gain = 0,
             .why = "the start",
             .parts = true},
    .run = naive,
};

}  // namespace loglog::kernels::ladder
