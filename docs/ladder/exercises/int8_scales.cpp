// Exercise: vector-wise scales. docs/ladder/exercises/int8_scales.md says how.
//
//   loglog ladder int8 --with docs/ladder/exercises/int8_scales.cpp
#include <algorithm>
#include <cmath>
#include <vector>

#include "loglog_rung.hpp"

// The scale that makes the largest magnitude of `count` elements 127; they lie `stride` floats apart.
static float scale_of(const float* x, Index count, Index stride) {
  float largest = 0.0f;
  for (Index i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i * stride]));
  return largest > 0.0f ? largest / 127.0f : 1.0f;
}

static std::int8_t quantise(float x, float scale) {
  // Yours: the nearest whole number of scales, not beyond -127 and 127.
  return 0;
}

void int8(Index m, Index n, Index k, const float* a, const float* b, float* c) {
  std::vector<float> scale_b(n);
  std::vector<std::int8_t> row(k), columns(k * n);
  for (Index j = 0; j < n; ++j) {
    scale_b[j] = scale_of(b + j, k, n);
    for (Index p = 0; p < k; ++p) columns[p * n + j] = quantise(b[p * n + j], scale_b[j]);
  }
  std::vector<std::int32_t> sums(n);
  for (Index i = 0; i < m; ++i) {
    const float scale_a = scale_of(a + i * k, k, 1);
    for (Index p = 0; p < k; ++p) row[p] = quantise(a[i * k + p], scale_a);
    std::fill(sums.begin(), sums.end(), 0);
    for (Index p = 0; p < k; ++p)
      for (Index j = 0; j < n; ++j) sums[j] += row[p] * columns[p * n + j];
    for (Index j = 0; j < n; ++j) c[i * n + j] = static_cast<float>(sums[j]) * scale_a * scale_b[j];
  }
}
