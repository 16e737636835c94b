// Attention of some rows of a group (table.hpp): keys in blocks of 256, scores, online softmax, weighted sum of values.
#pragma once
#include "kernels/scratch_pieces.hpp"
#include "kernels/simd/attention/forward_rows.hpp"
#include "kernels/simd/attention/in_place.hpp"
#include "kernels/simd/attention/pack.hpp"
#include "kernels/simd/attention/softmax.hpp"

namespace loglog::kernels {
namespace {

// Rows [i, i + rows) of w against the packed keys [packed, end) of the block at j0.
void attend_tile(const AttentionGroup& g, ForwardRows& w, Index i, Index rows, Index j0, Index packed,
                 Index end) noexcept {
  const Index lo = larger(packed, j0 + round_down(larger(w.first[i] - j0, 0), kPanel));
  const Index hi = smaller(end, w.last[i + rows - 1]);
  if (lo >= hi) return;
  const Index cols = round_up(g.head_size, kWidth);
  product<Start::zero>(rows, g.head_size, {w.queries + i * w.row, w.row, 1},
                       transposed_panels(w.keys_t, lo - packed, g.head_size),
                       {w.scores + (lo - j0), kSoftmaxKeys, round_up(hi - lo, kWidth)});
  for (Index r = 0; r < rows; ++r) {
    const Index begin = larger(w.first[i + r], j0), last = smaller(w.last[i + r], end);
    if (begin >= last) continue;
    const float factor = softmax_step(w.scores + r * kSoftmaxKeys, w.scores + r * kSoftmaxKeys, begin - j0,
                                      last - j0, 1.0f, w.softmax[i + r]);
    float* sums = w.sums + (i + r) * w.row;
    rescale(sums, cols, factor);
  }
  limited_product(rows, lo, hi, w.first + i, w.last + i, {w.scores + (lo - j0), kSoftmaxKeys, 1},
                  {w.values + (lo - packed) * w.row, w.row, 1}, {w.sums + i * w.row, w.row, cols});
}

// Where everything lies.
ForwardRows forward_scratch(Index head_size, float* scratch) noexcept {
  ForwardRows w;
  w.row = padded_row(head_size);
  ScratchPieces pieces(scratch);
  w.queries = pieces.take<float>(kForwardRows * w.row);
  w.sums = pieces.take<float>(kForwardRows * w.row);
  w.scores = pieces.take<float>(kTileRows * kSoftmaxKeys);
  w.keys_t = pieces.take<float>(head_size * kSoftmaxKeys);
  w.values = pieces.take<float>(kSoftmaxKeys * w.row);
  w.floats = pieces.floats();
  return w;
}

Index attention_forward_scratch(Index head_size) noexcept {
  return forward_scratch(head_size, nullptr).floats;
}

ForwardRows prepare_forward(const AttentionGroup& g, Index first_row, Index last_row,
                            float* scratch) noexcept {
  ForwardRows w = forward_scratch(g.head_size, scratch);
  w.count = last_row - first_row;
  pack_group_rows(w.queries, g, g.q, first_row, last_row);
  for (Index i = 0; i < w.count * w.row; ++i) w.sums[i] = 0.0f;
  for (Index r = 0; r < w.count; ++r) {
    const Interval seen = g.mask.keys_of((first_row + r) / g.heads, g.queries, g.keys);
    w.first[r] = seen.first;
    w.last[r] = seen.last;
  }
  return w;
}

void finish_forward(const AttentionGroup& g, const AttentionGroupResult& result, const ForwardRows& w,
                    Index first_row) noexcept {
  for (Index i = 0; i < w.count; ++i) {
    const Index r = first_row + i;
    with_type(result.out, [&](auto* data) {
      finish_row(data + g.offset(r, result.out.row_stride), result.lse + g.lse_at(r), w.sums + i * w.row,
                 g.head_size, 1.0f, w.softmax[i]);
    });
  }
}

void attention_forward_rows(const AttentionGroup& g, const AttentionGroupResult& result, Index first_row,
                            Index last_row, float* scratch) noexcept {
  LOGLOG_DCHECK(first_row < last_row && last_row - first_row <= kForwardRows);
  ForwardRows w = prepare_forward(g, first_row, last_row, scratch);
  const Index first = w.first[0], last = w.last[w.count - 1];
  const bool in_place = w.count <= kInPlaceRows && w.first[w.count - 1] == first && w.last[0] == last;
  for (Index j0 = round_down(first, kSoftmaxKeys); j0 < last; j0 += kSoftmaxKeys) {
    const Index packed = j0 + round_down(larger(first - j0, 0), kPanel);
    const Index end = smaller(j0 + kSoftmaxKeys, last);
    if (in_place) {
      attend_in_place(g, w, j0, larger(first, j0), end);
      continue;
    }
    pack_transposed(w.keys_t, g.k, packed, end, g.head_size, g.scale);
    pack_key_rows(w.values, g.v, packed, end, g.head_size, 1.0f);
    for (Index i = 0; i < w.count; i += kTileRows)
      attend_tile(g, w, i, smaller(kTileRows, w.count - i), j0, packed, end);
  }
  finish_forward(g, result, w, first_row);
}

}  // namespace
}  // namespace loglog::kernels
