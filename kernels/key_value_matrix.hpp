// Keys, or values, of tokens as attention reads them: float32, bfloat16, or int8 with a scale of its own for each head of
// each token.
//
//   float32, bfloat16   a row is its heads one after the other, D elements each
//   int8                a head is D integers and the 4 bytes of a float32 behind them:  x[d] = scale * q[d],  q in -127..127
//
// A scale lies beside what it belongs to: a pass over one head's rows reads it with them. A scale of NaN makes all of its
// head NaN, and one of 0 makes it 0.
#pragma once
#include <concepts>
#include <cstddef>

#include "kernels/float_matrix.hpp"

namespace loglog::kernels {

enum class KeyValueType : int { float32 = 1, bfloat16, int8 };

constexpr KeyValueType key_value_type(FloatType type) {
  return type == FloatType::float32 ? KeyValueType::float32 : KeyValueType::bfloat16;
}
// Of an element: a row's stride counts them.
constexpr std::size_t bytes_of(KeyValueType type) {
  return type == KeyValueType::float32 ? sizeof(float) : type == KeyValueType::bfloat16 ? sizeof(bf16) : 1;
}
// Elements from one head of a row to the next.
constexpr Index head_stride(KeyValueType type, Index head_size) {
  return head_size + (type == KeyValueType::int8 ? static_cast<Index>(sizeof(float)) : 0);
}

// Rows of one head that begin `row_stride` elements apart.
struct ConstKeyValueRows {
  const void* data;
  KeyValueType type;
  Index row_stride;
};

// A matrix (rows, heads * D) that is written, as a layer remembers it.
struct KeyValueMatrix {
  void* data = nullptr;
  KeyValueType type = KeyValueType::float32;
  Index rows = 0, cols = 0, row_stride = 0;  // cols without scales, row_stride with them

  // Rows without a gap.
  static constexpr KeyValueMatrix dense(void* data, KeyValueType type, Index rows, Index heads,
                                        Index head_size) {
    return {data, type, rows, heads * head_size, heads * head_stride(type, head_size)};
  }
  KeyValueMatrix rows_from(Index first, Index count) const {
    const Index bytes = first * row_stride * static_cast<Index>(bytes_of(type));
    return {static_cast<std::byte*>(data) + bytes, type, count, cols, row_stride};
  }
};

// A read-only one. Its columns have stride 1 in all kernels that take one; the drivers check it.
struct ConstKeyValueMatrix {
  const void* data = nullptr;
  KeyValueType type = KeyValueType::float32;
  Index rows = 0, cols = 0, row_stride = 0, col_stride = 1;

  constexpr ConstKeyValueMatrix() = default;
  // NOLINTBEGIN(google-explicit-constructor): stands for any matrix of keys or values
  constexpr ConstKeyValueMatrix(const KeyValueMatrix& x)
      : data(x.data), type(x.type), rows(x.rows), cols(x.cols), row_stride(x.row_stride) {}
  template <std::convertible_to<ConstFloatMatrix> M>
  constexpr ConstKeyValueMatrix(const M& x) : ConstKeyValueMatrix(Floats{}, x) {}
  // NOLINTEND(google-explicit-constructor)

  // One head, from a row on.
  ConstKeyValueRows head(Index row, Index number, Index head_size) const {
    const Index elements = row * row_stride + number * head_stride(type, head_size);
    return {static_cast<const std::byte*>(data) + elements * static_cast<Index>(bytes_of(type)), type,
            row_stride};
  }

 private:
  struct Floats {};
  constexpr ConstKeyValueMatrix(Floats /*unused*/, const ConstFloatMatrix& x)
      : data(x.data),
        type(key_value_type(x.type)),
        rows(x.rows),
        cols(x.cols),
        row_stride(x.row_stride),
        col_stride(x.col_stride) {}
};

}  // namespace loglog::kernels
