// Matrices of float32 or of bfloat16 for kernels that compute in float32 and convert as they load and store. Each operand
// may have its own type.
#pragma once
#include <cstddef>

#include "kernels/bf16.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

enum class FloatType : int { float32 = 1, bfloat16 };

template <class T>
constexpr FloatType float_type_of() {
  static_assert(sizeof(T) == sizeof(float) || sizeof(T) == sizeof(bf16));
  return sizeof(T) == sizeof(float) ? FloatType::float32 : FloatType::bfloat16;
}
constexpr std::size_t bytes_of(FloatType type) {
  return type == FloatType::float32 ? sizeof(float) : sizeof(bf16);
}

// Rows that begin `row_stride` elements apart.
struct ConstFloatRows {
  const void* data;
  FloatType type;
  Index row_stride;
};
struct FloatRows {
  void* data;
  FloatType type;
  Index row_stride;
};

// A matrix that kernels write; columns have stride 1.
struct FloatMatrix {
  void* data = nullptr;
  FloatType type = FloatType::float32;
  Index rows = 0, cols = 0, row_stride = 0;

  constexpr FloatMatrix() = default;
  constexpr FloatMatrix(void* d, FloatType t, Index r, Index c, Index row_step)
      : data(d), type(t), rows(r), cols(c), row_stride(row_step) {}
  template <class T>
  constexpr FloatMatrix(T* d, Index r, Index c) : FloatMatrix(d, float_type_of<T>(), r, c, c) {}
  template <class T>
  constexpr FloatMatrix(const Matrix<T>& x)  // NOLINT(google-explicit-constructor): stands for either kind
      : FloatMatrix(x.data, float_type_of<T>(), x.rows, x.cols, x.row_stride) {}

  FloatRows from(Index row, Index col) const {
    const auto bytes = static_cast<Index>(bytes_of(type)) * (row * row_stride + col);
    return {static_cast<std::byte*>(data) + bytes, type, row_stride};
  }
  FloatMatrix columns(Index first, Index count) const {
    return {from(0, first).data, type, rows, count, row_stride};
  }
  FloatMatrix rows_from(Index first, Index count) const {
    return {from(first, 0).data, type, count, cols, row_stride};
  }
  // Where the type is known to be T's.
  template <class T>
  Matrix<T> as() const {
    return {static_cast<T*>(data), rows, cols, row_stride};
  }
};

// A read-only matrix. Its columns have stride 1 in all kernels that take one; the drivers check it.
struct ConstFloatMatrix {
  const void* data = nullptr;
  FloatType type = FloatType::float32;
  Index rows = 0, cols = 0, row_stride = 0, col_stride = 1;

  constexpr ConstFloatMatrix() = default;
  constexpr ConstFloatMatrix(const void* d, FloatType t, Index r, Index c, Index row_step, Index col_step = 1)
      : data(d), type(t), rows(r), cols(c), row_stride(row_step), col_stride(col_step) {}
  template <class T>
  constexpr ConstFloatMatrix(const T* d, Index r, Index c)
      : ConstFloatMatrix(d, float_type_of<T>(), r, c, c) {}
  // NOLINTBEGIN(google-explicit-constructor): stands for either kind of matrix
  template <class T>
  constexpr ConstFloatMatrix(const ConstMatrix<T>& x)
      : ConstFloatMatrix(x.data, float_type_of<T>(), x.rows, x.cols, x.row_stride, x.col_stride) {}
  template <class T>
  constexpr ConstFloatMatrix(const Matrix<T>& x) : ConstFloatMatrix(ConstMatrix<T>(x)) {}
  constexpr ConstFloatMatrix(const FloatMatrix& x)
      : ConstFloatMatrix(x.data, x.type, x.rows, x.cols, x.row_stride) {}
  // NOLINTEND(google-explicit-constructor)

  ConstFloatRows from(Index row, Index col) const {
    const auto bytes = static_cast<Index>(bytes_of(type)) * (row * row_stride + col);
    return {static_cast<const std::byte*>(data) + bytes, type, row_stride};
  }
  ConstFloatMatrix columns(Index first, Index count) const {
    return {from(0, first).data, type, rows, count, row_stride};
  }
  ConstFloatMatrix transposed() const { return {data, type, cols, rows, col_stride, row_stride}; }
  template <class T>
  ConstMatrix<T> as() const {
    return {static_cast<const T*>(data), rows, cols, row_stride, col_stride};
  }
};

}  // namespace loglog::kernels
