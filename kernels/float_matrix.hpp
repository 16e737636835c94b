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
  void* data;
  FloatType type;
  Index rows, cols, row_stride;

  template <class T>
  constexpr FloatMatrix(const Matrix<T>& x)  // NOLINT(google-explicit-constructor): stands for either kind
      : data(x.data), type(float_type_of<T>()), rows(x.rows), cols(x.cols), row_stride(x.row_stride) {}

  FloatRows from(Index row, Index col) const {
    const auto bytes = static_cast<Index>(bytes_of(type)) * (row * row_stride + col);
    return {static_cast<std::byte*>(data) + bytes, type, row_stride};
  }
};

// A read-only matrix. Its columns have stride 1 in all kernels that take one; the drivers check it.
struct ConstFloatMatrix {
  const void* data;
  FloatType type;
  Index rows, cols, row_stride, col_stride;

  // NOLINTBEGIN(google-explicit-constructor): stands for either kind of matrix
  template <class T>
  constexpr ConstFloatMatrix(const ConstMatrix<T>& x)
      : data(x.data),
        type(float_type_of<T>()),
        rows(x.rows),
        cols(x.cols),
        row_stride(x.row_stride),
        col_stride(x.col_stride) {}
  template <class T>
  constexpr ConstFloatMatrix(const Matrix<T>& x) : ConstFloatMatrix(ConstMatrix<T>(x)) {}
  constexpr ConstFloatMatrix(const FloatMatrix& x)
      : data(x.data), type(x.type), rows(x.rows), cols(x.cols), row_stride(x.row_stride), col_stride(1) {}
  // NOLINTEND(google-explicit-constructor)

  ConstFloatRows from(Index row, Index col) const {
    const auto bytes = static_cast<Index>(bytes_of(type)) * (row * row_stride + col);
    return {static_cast<const std::byte*>(data) + bytes, type, row_stride};
  }
};

}  // namespace loglog::kernels
