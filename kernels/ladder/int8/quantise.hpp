// Rounding to int8 with a scale per row of A and per column of B: what rungs 2 to 6 share.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/matrix.hpp"

namespace loglog::kernels::ladder {

struct Quantised {
  std::vector<std::int8_t> values;  // as the matrix, row by row
  std::vector<float> scales;        // value = scale * int8
};

// The scale that makes `largest` 127, and 1 for nothing but zeros.
inline float scale_of(float largest) {
  return largest > 0.0f ? largest / 127.0f : 1.0f;
}

// To nearest, ties to even.
inline std::int8_t quantise(float x, float scale) {
  return static_cast<std::int8_t>(std::clamp(std::nearbyint(x / scale), -127.0f, 127.0f));
}

// A scale per row.
inline Quantised quantise_rows(const float* x, Index rows, Index cols) {
  Quantised q{std::vector<std::int8_t>(rows * cols), std::vector<float>(rows)};
  for (Index i = 0; i < rows; ++i) {
    float largest = 0.0f;
    for (Index j = 0; j < cols; ++j) largest = std::max(largest, std::abs(x[i * cols + j]));
    q.scales[i] = scale_of(largest);
    for (Index j = 0; j < cols; ++j) q.values[i * cols + j] = quantise(x[i * cols + j], q.scales[i]);
  }
  return q;
}

// A scale per column.
inline Quantised quantise_columns(const float* x, Index rows, Index cols) {
  Quantised q{std::vector<std::int8_t>(rows * cols), std::vector<float>(cols, 0.0f)};
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) q.scales[j] = std::max(q.scales[j], std::abs(x[i * cols + j]));
  std::ranges::transform(q.scales, q.scales.begin(), scale_of);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) q.values[i * cols + j] = quantise(x[i * cols + j], q.scales[j]);
  return q;
}

}  // namespace loglog::kernels::ladder
