// Views of matrices and the environment that every driver of this library takes.
//
// Dimension letters, everywhere in kernels/: M N K of a matrix product C[M,N] = A[M,K] B[K,N]; mr nr of a
// register tile; mc nc kc of a cache block; B T H D of attention (batch, time, heads, head size).
#pragma once
#include <cstddef>
#include <cstdint>

namespace loglog::kernels {

using Index = std::int64_t;

// A read-only matrix that somebody else owns. Element (i, j) lies at data[i * row_stride + j * col_stride];
// strides are in elements and one of them is 1.
struct ConstMatrixRef {
  const float* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index row_stride = 0;
  Index col_stride = 1;

  constexpr ConstMatrixRef() = default;
  constexpr ConstMatrixRef(const float* d, Index r, Index c) : ConstMatrixRef(d, r, c, c) {}
  constexpr ConstMatrixRef(const float* d, Index r, Index c, Index row_step, Index col_step = 1)
      : data(d), rows(r), cols(c), row_stride(row_step), col_stride(col_step) {}
  constexpr ConstMatrixRef transposed() const { return {data, cols, rows, col_stride, row_stride}; }
  constexpr const float* row(Index i) const { return data + i * row_stride; }
};

// The same, writable. Outputs have col_stride 1.
struct MatrixRef {
  float* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index row_stride = 0;

  constexpr MatrixRef() = default;
  constexpr MatrixRef(float* d, Index r, Index c) : MatrixRef(d, r, c, c) {}
  constexpr MatrixRef(float* d, Index r, Index c, Index row_step)
      : data(d), rows(r), cols(c), row_stride(row_step) {}
  // NOLINTNEXTLINE(google-explicit-constructor): a writable view may stand for a read-only one
  constexpr operator ConstMatrixRef() const { return {data, rows, cols, row_stride}; }
  constexpr ConstMatrixRef transposed() const { return ConstMatrixRef(*this).transposed(); }
  constexpr float* row(Index i) const { return data + i * row_stride; }
  constexpr MatrixRef columns(Index first, Index count) const {
    return {data + first, rows, count, row_stride};
  }
};

}  // namespace loglog::kernels
