// A solution of docs/ladder/exercises/attention_online.cpp.
#include <cmath>

#include "loglog_rung.hpp"

// One query against the keys 0 .. last, one pass.
static void attend(Index last, Index size, const float* q, const float* k, const float* v, float* out) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(size));
  float maximum = -INFINITY, sum = 0.0f;
  for (Index d = 0; d < size; ++d) out[d] = 0.0f;
  for (Index s = 0; s <= last; ++s) {
    float score = 0.0f;
    for (Index d = 0; d < size; ++d) score += q[d] * k[s * size + d];
    score *= scale;
    if (score > maximum) {
      const float factor = std::exp(maximum - score);
      sum *= factor;
      for (Index d = 0; d < size; ++d) out[d] *= factor;
      maximum = score;
    }
    const float weight = std::exp(score - maximum);
    sum += weight;
    for (Index d = 0; d < size; ++d) out[d] += weight * v[s * size + d];
  }
  for (Index d = 0; d < size; ++d) out[d] /= sum;
}

void attention(Index heads, Index time, Index size, const float* q, const float* k, const float* v,
               float* out) {
  for (Index h = 0; h < heads; ++h) {
    const Index first = h * time * size;
    for (Index t = 0; t < time; ++t)
      attend(t, size, q + first + t * size, k + first, v + first, out + first + t * size);
  }
}
