// Rung 7: gradients, from a T x T matrix that the forward pass kept.
//
// Idea      P of the forward pass is all that backward needs: dV = P' dO, dP = dO V', dS = P (dP - delta), dQ = dS K,
//           dK = dS' Q, with delta = rowsum(dO out).
// Gain      none to compare with: this rung starts over, with forward and backward together, three times the arithmetic.
// Limit     Memory: T x T floats per head have to live from the forward to the backward pass of every layer.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ladder/attention/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

float dot(const float* a, const float* b, Index n) {
  float sum = 0.0f;
  for (Index i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}
void add_to(float* y, float factor, const float* x, Index n) {
  for (Index i = 0; i < n; ++i) y[i] += factor * x[i];
}

void backward_naive(ExecContext&, const AttentionCall& c) {
  const Index T = c.time, D = c.size;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  std::vector<float> p(static_cast<std::size_t>(T * T));
  for (float* x : {c.out, c.d_q, c.d_k, c.d_v}) std::fill_n(x, c.heads * T * D, 0.0f);
  for (Index first = 0; first < c.heads * T * D; first += T * D) {
    const auto row = [&](auto* x, Index t) { return x + first + t * D; };
    for (Index t = 0; t < T; ++t) {  // forward
      float* p_t = &p[t * T];
      for (Index s = 0; s <= t; ++s) p_t[s] = scale * dot(row(c.q, t), row(c.k, s), D);
      const float maximum = *std::max_element(p_t, p_t + t + 1);
      float sum = 0.0f;
      for (Index s = 0; s <= t; ++s) sum += p_t[s] = std::exp(p_t[s] - maximum);
      for (Index s = 0; s <= t; ++s) p_t[s] /= sum;
      for (Index s = 0; s <= t; ++s) add_to(row(c.out, t), p_t[s], row(c.v, s), D);
    }
    for (Index t = 0; t < T; ++t) {  // backward
      const float delta = dot(row(c.d_out, t), row(c.out, t), D);
      for (Index s = 0; s <= t; ++s) {
        const float p_ts = p[t * T + s];
        const float d_score = scale * p_ts * (dot(row(c.d_out, t), row(c.v, s), D) - delta);
        add_to(row(c.d_v, s), p_ts, row(c.d_out, t), D);
        add_to(row(c.d_q, t), d_score, row(c.k, s), D);
        add_to(row(c.d_k, s), d_score, row(c.q, t), D);
      }
    }
  }
}

}  // namespace

const AttentionRung kBackwardNaive = {
    .info = {.number = 7,
             .name = "backward-naive",
             .idea = "forward and backward, with the T x T matrix of the forward pass kept",
             .gain = 0,
             .why = "starts over: three times the arithmetic",
             .parts = true,
             .work = 3},
    .run = backward_naive,
};

}  // namespace loglog::kernels::ladder
