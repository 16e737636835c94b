// From rows in memory, float32, bfloat16 or int8, to float32 in scratch, and back.
#pragma once
#include "kernels/simd/attention/row.hpp"
#include "kernels/simd/attention/tile.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Rows [first, last) of a group, of q or what has its shape: (rows, padded_row(D)).
void pack_group_rows(float* out, const AttentionGroup& g, const ConstFloatRows& x, Index first,
                     Index last) noexcept {
  const Index row = padded_row(g.head_size);
  with_type(x, [&](auto* data) {
    for (Index r = first; r < last; ++r, out += row)
      pack_row(out, data + g.offset(r, x.row_stride), g.head_size, 1.0f);
  });
}

// Keys of one head may lie a page apart, where the machine's own prefetch stops, so each row asks for the one that is a panel
// further on: decoding is 1.1 times as fast.
template <class T>
[[gnu::always_inline]] inline void prefetch_ahead(const T* x, Index x_row, Index rows_left) {
  if (rows_left > kPanel) __builtin_prefetch(x + kPanel * x_row);
}

// Rows [first, last) of k or v.
void pack_key_rows(float* out, const ConstKeyValueRows& x, Index first, Index last, Index head_size,
                   float factor) noexcept {
  const Index row = padded_row(head_size);
  with_type(x, [&](auto* data) {
    for (Index s = first; s < last; ++s, out += row) {
      auto* const from = data + s * x.row_stride;
      pack_row(out, from, head_size, factor_of(from, head_size, factor));
    }
  });
}

void unpack_key_rows(const FloatRows& x, Index first, Index last, const float* in, Index head_size,
                     float factor) noexcept {
  const Index row = padded_row(head_size);
  with_type(x, [&](auto* data) {
    for (Index s = first; s < last; ++s, in += row)
      unpack_row(data + s * x.row_stride, in, head_size, factor);
  });
}

// What up to kWidth rows are multiplied with.
template <class T>
struct RowFactors {
  float factor;
  RowFactors(const T*, Index, Index, Index, float f) : factor(f) {}
  [[gnu::always_inline]] F32 of(Index) const { return F32(factor); }
};
template <>
struct RowFactors<std::int8_t> {
  float factor[kWidth] = {};
  RowFactors(const std::int8_t* x, Index x_row, Index rows, Index head_size, float f) {
    for (Index i = 0; i < smaller(rows, kWidth); ++i) factor[i] = factor_of(x + i * x_row, head_size, f);
  }
  [[gnu::always_inline]] F32 of(Index i) const { return F32(factor[i]); }
};

// square[c] = column c of `live` columns (kWidth at most) of `rows` rows (likewise), each row times its factor; what lacks is
// zero.
template <class T>
[[gnu::always_inline]] inline void load_square(F32 (&square)[kWidth], const T* x, Index x_row, Index rows,
                                               Index live, const RowFactors<T>& factors) {
  for (Index i = 0; i < kWidth; ++i) prefetch_ahead(x + i * x_row, x_row, rows - i);
  if (rows >= kWidth && live >= kWidth) {
    unroll<kWidth>([&](auto i) { square[i] = factors.of(i) * load(x + i * x_row); });
  } else {
    F32 edge[kWidth];  // a counter that is none of the compiler's would keep the square in memory
    for (Index i = 0; i < kWidth; ++i)
      edge[i] = i < rows ? factors.of(i) * load_partial(x + i * x_row, smaller(live, kWidth)) : F32(0.0f);
    unroll<kWidth>([&](auto i) { square[i] = edge[i]; });
  }
  transpose(square);
}

// `live` <= kWidth columns from d of `rows` <= kWidth rows, transposed, to out[c * kPanel]; rows that lack are zero.
template <class T>
[[gnu::always_inline]] inline void pack_square(float* out, const T* x, Index x_row, Index rows, Index live,
                                               const RowFactors<T>& factors) {
  F32 square[kWidth];
  load_square(square, x, x_row, rows, live, factors);
  if (live >= kWidth) {
    unroll<kWidth>([&](auto c) { store(out + c * kPanel, square[c]); });
  } else {
    for (Index c = 0; c < live; ++c) store(out + c * kPanel, square[c]);
  }
}

// Panels of factor * X' (D, keys), each kPanel keys wide and D * kPanel floats long; the last is filled with zeros.
void pack_transposed(float* out, const ConstKeyValueRows& x, Index first, Index last, Index head_size,
                     float factor) noexcept {
  with_type(x, [&]<class T>(const T* data) {
    for (Index s = first; s < last; s += kPanel, out += head_size * kPanel) {
      for (Index v = 0; v < kPanel; v += kWidth) {
        const T* const from = data + (s + v) * x.row_stride;
        const Index rows = last - s - v;
        const RowFactors<T> factors(from, x.row_stride, rows, head_size, factor);
        for (Index d = 0; d < head_size; d += kWidth)
          pack_square(out + d * kPanel + v, from + d, x.row_stride, rows, head_size - d, factors);
      }
    }
  });
}

// The panels from pack_transposed as B, from the key `key` (a multiple of kPanel) behind their first.
Right transposed_panels(const float* panels, Index key, Index head_size) noexcept {
  return {panels + key * head_size, kPanel, head_size};
}

}  // namespace
}  // namespace loglog::kernels
