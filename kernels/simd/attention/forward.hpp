// Attention of some rows of a group (table.hpp): keys in blocks of 256, scores, online softmax, weighted sum of values.
#pragma once
#include "kernels/simd/attention/pack.hpp"
#include "kernels/simd/attention/softmax.hpp"

namespace loglog::kernels {
namespace {

// Rows share the packing of a block of keys, which with 128 rows still takes 7% of the time at D = 64 (64 rows: 10%); more
// rows would leave too few tasks. The 256 keys of a block count from the first key of the sequence and fix the order of
// summation: a row's maximum and sum are brought up to date once per block.
constexpr Index kForwardRows = 128, kForwardKeys = 256;
static_assert(kForwardRows % kTileRows == 0 && kForwardKeys % kPanel == 0);

struct ForwardRows {
  Index count, row;                               // rows, floats from one to the next
  float* queries;                                 // (rows, row)
  float* sums;                                    // (rows, row) sum_s exp(S - maximum) V
  float* scores;                                  // (kTileRows, kForwardKeys)
  float* keys_t;                                  // (D, kForwardKeys) panels, with the factor 1 / sqrt(D)
  float* values;                                  // (kForwardKeys, row)
  Index first[kForwardRows], last[kForwardRows];  // the keys that each row sees
  OnlineSoftmax softmax[kForwardRows];
};

// Rows [i, i + rows) of w against the packed keys [packed, end) of the block at j0.
void attend_tile(const AttentionGroup& g, ForwardRows& w, Index i, Index rows, Index j0, Index packed,
                 Index end) noexcept {
  const Index lo = larger(packed, j0 + round_down(larger(w.first[i] - j0, 0), kPanel));
  const Index hi = smaller(end, w.last[i + rows - 1]);
  if (lo >= hi) return;
  const Index cols = round_up(g.head_size, kWidth);
  product<Start::zero>(rows, g.head_size, {w.queries + i * w.row, w.row, 1},
                       transposed_panels(w.keys_t, lo - packed, g.head_size),
                       {w.scores + (lo - j0), kForwardKeys, round_up(hi - lo, kWidth)});
  for (Index r = 0; r < rows; ++r) {
    const Index begin = larger(w.first[i + r], j0), last = smaller(w.last[i + r], end);
    if (begin >= last) continue;
    const float factor = softmax_step(w.scores + r * kForwardKeys, w.scores + r * kForwardKeys, begin - j0,
                                      last - j0, 1.0f, w.softmax[i + r]);
    float* sums = w.sums + (i + r) * w.row;
    rescale(sums, cols, factor);
  }
  limited_product(rows, lo, hi, w.first + i, w.last + i, {w.scores + (lo - j0), kForwardKeys, 1},
                  {w.values + (lo - packed) * w.row, w.row, 1}, {w.sums + i * w.row, w.row, cols});
}

ForwardRows prepare_forward(const AttentionGroup& g, Index first_row, Index last_row,
                            float* scratch) noexcept {
  ForwardRows w;
  w.count = last_row - first_row;
  w.row = padded_row(g.head_size);
  const auto take = [&](Index floats) {
    float* const at = scratch;
    scratch += floats;
    return at;
  };
  w.queries = take(kForwardRows * w.row);
  w.sums = take(kForwardRows * w.row);
  w.scores = take(kTileRows * kForwardKeys);
  w.keys_t = take(g.head_size * kForwardKeys);
  w.values = take(kForwardKeys * w.row);
  pack_group_rows(w.queries, g, g.q, first_row, last_row);
  for (Index i = 0; i < w.count * w.row; ++i) w.sums[i] = 0.0f;
  for (Index r = 0; r < w.count; ++r) {
    const Interval seen = g.mask.keys_of((first_row + r) / g.heads, g.queries, g.keys);
    w.first[r] = seen.first;
    w.last[r] = seen.last;
  }
  return w;
}

Index attention_forward_scratch(Index head_size) noexcept {
  return (2 * kForwardRows + kForwardKeys) * padded_row(head_size) + (kTileRows + head_size) * kForwardKeys;
}

void finish_forward(const AttentionGroup& g, const AttentionGroupResult& result, const ForwardRows& w,
                    Index first_row) noexcept {
  for (Index i = 0; i < w.count; ++i) {
    const Index r = first_row + i;
    with_type(result.out, [&](auto* data) {
      finish_row(data + group_offset(g, r, result.out.row_stride),
                 result.lse + r % g.heads * g.queries + r / g.heads, w.sums + i * w.row, g.head_size,
                 w.softmax[i]);
    });
  }
}

void attention_forward_rows(const AttentionGroup& g, const AttentionGroupResult& result, Index first_row,
                            Index last_row, float* scratch) noexcept {
  LOGLOG_DCHECK(first_row < last_row && last_row - first_row <= kForwardRows);
  ForwardRows w = prepare_forward(g, first_row, last_row, scratch);
  const Index first = w.first[0], last = w.last[w.count - 1];
  for (Index j0 = round_down(first, kForwardKeys); j0 < last; j0 += kForwardKeys) {
    const Index packed = j0 + round_down(larger(first - j0, 0), kPanel);
    const Index end = smaller(j0 + kForwardKeys, last);
    pack_transposed(w.keys_t, g.k, packed, end, g.head_size, g.scale);
    pack_key_rows(w.values, g.v, packed, end, g.head_size, 1.0f);
    for (Index i = 0; i < w.count; i += kTileRows)
      attend_tile(g, w, i, smaller(kTileRows, w.count - i), j0, packed, end);
  }
  finish_forward(g, result, w, first_row);
}

}  // namespace
}  // namespace loglog::kernels
