// Views of matrices and the environment that every driver of this library takes.
//
// Dimension letters, everywhere in kernels/: M N K of a matrix product C[M,N] = A[M,K] B[K,N]; mr nr of a
// register tile; mc nc kc of a cache block; B T H D of attention (batch, time, heads, head size).
#pragma once
#include <cstddef>
#include <cstdint>

namespace loglog::kernels {

using Index = std::int64_t;

constexpr Index ceil_div(Index a, Index b) {
  return (a + b - 1) / b;
}
constexpr Index round_up(Index a, Index b) {
  return ceil_div(a, b) * b;
}

// A read-only matrix that somebody else owns. Element (i, j) lies at data[i * row_stride + j * col_stride];
// strides are in elements and one of them is 1.
template <class T>
struct ConstMatrix {
  const T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index row_stride = 0;
  Index col_stride = 1;

  constexpr ConstMatrix() = default;
  constexpr ConstMatrix(const T* d, Index r, Index c) : ConstMatrix(d, r, c, c) {}
  constexpr ConstMatrix(const T* d, Index r, Index c, Index row_step, Index col_step = 1)
      : data(d), rows(r), cols(c), row_stride(row_step), col_stride(col_step) {}
  constexpr ConstMatrix transposed() const { return {data, cols, rows, col_stride, row_stride}; }
  constexpr const T* row(Index i) const { return data + i * row_stride; }
};

// Whether its columns lie as rows would.
template <class T>
constexpr bool is_transposed(const ConstMatrix<T>& x) {
  return x.row_stride == 1 && x.col_stride != 1;
}

// A matrix that is written. Outputs have col_stride 1.
template <class T>
struct Matrix {
  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index row_stride = 0;

  constexpr Matrix() = default;
  constexpr Matrix(T* d, Index r, Index c) : Matrix(d, r, c, c) {}
  constexpr Matrix(T* d, Index r, Index c, Index row_step)
      : data(d), rows(r), cols(c), row_stride(row_step) {}
  // NOLINTNEXTLINE(google-explicit-constructor): a writable view may stand for a read-only one
  constexpr operator ConstMatrix<T>() const { return {data, rows, cols, row_stride}; }
  constexpr ConstMatrix<T> transposed() const { return ConstMatrix<T>(*this).transposed(); }
  constexpr T* row(Index i) const { return data + i * row_stride; }
  constexpr Matrix columns(Index first, Index count) const { return {data + first, rows, count, row_stride}; }
};

using ConstMatrixRef = ConstMatrix<float>;
using MatrixRef = Matrix<float>;

}  // namespace loglog::kernels
