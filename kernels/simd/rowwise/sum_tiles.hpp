// Rows of rowwise/sums.hpp.
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

void add_rows(MatrixRef out, ConstMatrixRef a, ConstMatrixRef b, Stores stores) noexcept {
  with_stores(stores, out, [&](auto streams) {
    for (Index r = 0; r < a.rows; ++r) {
      const Row x{a.row(r), a.cols}, y{b.row(r), a.cols};
      const OutputRow<float, decltype(streams)> z{out.row(r), a.cols};
      for_vectors(a.cols,
                  [&](Index j, auto whole) { z.put(j, x.first_at(j, whole) + y.first_at(j, whole), whole); });
    }
  });
}

void add_columns(float* out, ConstMatrixRef in) noexcept {
  const MutableRow sums{out, in.cols};
  for_vectors(in.cols, [&](Index j, auto whole) {
    F32 sum(0.0f);
    for (Index r = 0; r < in.rows; ++r) sum = sum + Row{in.row(r), in.cols}.at(j, whole);
    sums.put(j, sums.at(j, whole) + sum, whole);
  });
}

// In float64: 16 sums by index modulo 16, then in order, so that every ISA gives the same bits.
double square_sum(const float* x, Index n) noexcept {
  constexpr int kSums = 16;
  double sums[kSums] = {};
  Index i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int j = 0; j < kSums; ++j) sums[j] += double(x[i + j]) * double(x[i + j]);
  }
  for (int j = 0; i < n; ++i, ++j) sums[j] += double(x[i]) * double(x[i]);
  double sum = 0.0;
  for (int j = 0; j < kSums; ++j) sum += sums[j];
  return sum;
}

}  // namespace
}  // namespace loglog::kernels
