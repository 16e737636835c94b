// Attention of a few rows that all see the same keys, as those of one new token do. What is packed for many rows would here be
// written and read once: keys and values go from memory, of any type, through registers. The bits are those of attend_tile:
// one chain of muladd for each score and each sum, in the same order.
#pragma once
#include "kernels/simd/attention/forward_rows.hpp"
#include "kernels/simd/attention/pack.hpp"
#include "kernels/simd/attention/softmax.hpp"

namespace loglog::kernels {
namespace {

// Each row goes over a block's values once more, which packing would write and read.
constexpr Index kInPlaceRows = 4;
// Sums that stay in registers while the keys of a block go by: enough chains for the latency of two FMA units.
constexpr int kInPlaceVectors = 8;

// S = Q K' of `count` rows and the keys [begin, end) of the block at j0; begin a multiple of kWidth behind it.
template <class T>
void scores_in_place(const AttentionGroup& g, ForwardRows& w, const T* keys, Index j0, Index begin,
                     Index end) noexcept {
  const Index size = g.head_size;
  for (Index s = begin; s < end; s += kWidth) {
    const T* const from = keys + s * g.k.row_stride;
    const RowFactors<T> factors(from, g.k.row_stride, end - s, size, g.scale);
    for (Index r = 0; r < w.count; ++r) store(w.scores + r * kSoftmaxKeys + (s - j0), F32(0.0f));
    for (Index d = 0; d < size; d += kWidth) {
      F32 square[kWidth];
      load_square(square, from + d, g.k.row_stride, end - s, size - d, factors);
      for (Index r = 0; r < w.count; ++r) {
        float* const at = w.scores + r * kSoftmaxKeys + (s - j0);
        const float* const query = w.queries + r * w.row + d;
        F32 sum = load(at);
        if (size - d >= kWidth)
          unroll<kWidth>([&](auto c) { sum = muladd(F32(query[c]), square[c], sum); });
        else
          unroll<kWidth>([&](auto c) {
            if (c < size - d) sum = muladd(F32(query[c]), square[c], sum);
          });
        store(at, sum);
      }
    }
  }
}

// A head's rows of values, from a block's first key that is seen on.
template <class T>
struct ValueRows {
  const T* data;
  Index row, keys, head_size;
};

// sums[d .. d + NV vectors) += sum_s weights[s] values[s]; of the last vector `live` columns are there.
template <int NV, class T>
[[gnu::always_inline]] inline void weigh_columns(float* sums, const float* weights, const ValueRows<T>& v,
                                                 Index d, Index live) {
  F32 acc[NV];
  unroll<NV>([&](auto i) { acc[i] = load(sums + d + i * kWidth); });
  const T* row = v.data;
  for (Index s = 0; s < v.keys; ++s, row += v.row) {
    const F32 weight(weights[s]), factor(factor_of(row, v.head_size, 1.0f));
    unroll<NV>([&](auto i) {
      const T* const at = row + d + i * kWidth;
      if constexpr (i * kWidth * sizeof(T) % 64 == 0) prefetch_ahead(at, v.row, v.keys - s);
      const F32 value = live >= kWidth ? load(at) : load_partial(at, live);
      acc[i] = muladd(weight, factor * value, acc[i]);
    });
  }
  unroll<NV>([&](auto i) { store(sums + d + i * kWidth, acc[i]); });
}

// O += P V of one row from column d on, by NV vectors, then by half as many.
template <class T, int NV = kInPlaceVectors>
void weigh_in_place(float* sums, const float* weights, const ValueRows<T>& v, Index d = 0) noexcept {
  if constexpr (NV > 0) {
    for (; d + NV * kWidth <= v.head_size; d += NV * kWidth) weigh_columns<NV>(sums, weights, v, d, kWidth);
    weigh_in_place<T, NV / 2>(sums, weights, v, d);
  } else if (d < v.head_size) {
    weigh_columns<1>(sums, weights, v, d, v.head_size - d);
  }
}

// All rows against the keys [begin, end) of the block at j0.
void attend_in_place(const AttentionGroup& g, ForwardRows& w, Index j0, Index begin, Index end) noexcept {
  with_type(g.k,
            [&](auto* keys) { scores_in_place(g, w, keys, j0, j0 + round_down(begin - j0, kWidth), end); });
  for (Index r = 0; r < w.count; ++r) {
    float* const scores = w.scores + r * kSoftmaxKeys;
    float* const sums = w.sums + r * w.row;
    const float factor = softmax_step(scores, scores, begin - j0, end - j0, 1.0f, w.softmax[r]);
    rescale(sums, round_up(g.head_size, kWidth), factor);
    with_type(g.v, [&]<class T>(const T* values) {
      const ValueRows<T> rows = {values + begin * g.v.row_stride, g.v.row_stride, end - begin, g.head_size};
      weigh_in_place(sums, scores + (begin - j0), rows);
    });
  }
}

}  // namespace
}  // namespace loglog::kernels
