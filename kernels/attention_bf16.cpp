#include "kernels/attention_bf16.hpp"

#include <numeric>

#include "base/check.hpp"
#include "kernels/attention_bf16_strips.hpp"

namespace loglog::kernels {
namespace {

struct ForwardScratch {
  Index row, score_row, weight_row, sums_row;  // elements from one row to the next
  bf16 *queries, *keys, *values, *weights, *panel;
  float *sums, *scores;
  std::byte* left;
  Index floats;
};

ForwardScratch forward_scratch(const StripProducts& strips, Index head_size, Index rows, Index sums_row,
                               float* scratch) {
  ForwardScratch w;
  w.row = padded_row(strips.padded_depth(head_size), sizeof(bf16));
  w.score_row = padded_row(kSoftmaxKeys, sizeof(float));
  w.weight_row = padded_row(kSoftmaxKeys, sizeof(bf16));
  w.sums_row = sums_row;
  ScratchPieces pieces(scratch);
  w.queries = pieces.take<bf16>(rows * w.row);
  w.keys = pieces.take<bf16>(strips.panel_elements(head_size, kSoftmaxKeys));
  w.values = pieces.take<bf16>(strips.panel_elements(kSoftmaxKeys, head_size));
  w.weights = pieces.take<bf16>(strips.mr() * w.weight_row);
  w.panel = pieces.take<bf16>(strips.panel_elements(kSoftmaxKeys, 1));
  w.sums = pieces.take<float>(rows * sums_row);
  w.scores = pieces.take<float>(strips.mr() * w.score_row);
  w.left = pieces.take<std::byte>(strips.left_bytes(std::max(kSoftmaxKeys, head_size)));
  w.floats = pieces.floats();
  return w;
}

// What a row sees and where its softmax is.
struct ForwardRows {
  LinesView<bf16> queries;
  Index first[kMostRows], last[kMostRows];
  OnlineSoftmax softmax[kMostRows];
};

struct KeyBlock {
  Index origin, first, end;  // scores count from origin; packed are [first, end)
  StripPanels keys, values;
};

// One tile of rows against a block of keys.
void attend(const StripProducts& strips, const AttentionRows& rows_of, const AttentionGroup& g,
            const ForwardScratch& w, ForwardRows& rows, Index i, Index count, const KeyBlock& block) {
  const Index from = block.first - block.origin;
  const Index lo = from + round_down(std::max<Index>(rows.first[i] - block.first, 0), strips.nr());
  const Index hi = std::min(block.end, rows.last[i + count - 1]) - block.origin;
  if (lo >= hi) return;
  Index first[kMostTileRows] = {}, last[kMostTileRows] = {};  // from lo on
  for (Index r = 0; r < count; ++r) {
    first[r] = std::clamp(rows.first[i + r] - block.origin, lo, hi) - lo;
    last[r] = std::clamp(rows.last[i + r] - block.origin, lo, hi) - lo;
  }
  const Index head_depth = strips.padded_depth(g.head_size), depth = strips.padded_depth(hi - lo);
  strips.multiply(from_line(rows.queries, i), count, head_depth,
                  {block.keys.data + (lo - from) * head_depth, head_depth, true}, 0, hi - lo, w.scores,
                  w.score_row, false, w.left);
  rows_of.softmax({.rows = count,
                   .cols = depth,
                   .first = first,
                   .last = last,
                   .scale = g.scale,
                   .scores = w.scores,
                   .score_row = w.score_row,
                   .weights = w.weights,
                   .weight_row = w.weight_row,
                   .state = rows.softmax + i,
                   .sums = w.sums + i * w.sums_row,
                   .sums_row = w.sums_row,
                   .sums_cols = g.head_size});
  const LinesView<bf16> weights = {w.weights, w.weight_row, 1};
  float* const sums = w.sums + i * w.sums_row;
  // Every step of the depth is a key that every row sees, or one of the zeros behind the last key.
  const bool all_seen =
      first[count - 1] == 0 && last[0] == hi - lo && (hi - lo == depth || block.origin + hi == block.end);
  if (block.values.finite || all_seen)
    strips.multiply(weights, count, depth, block.values, lo - from, g.head_size, sums, w.sums_row, true,
                    w.left);
  else
    strips.multiply_limited(weights, count, first, last, block.values, lo - from, g.head_size, sums,
                            w.sums_row, w.left, w.panel);
}

}  // namespace

Bf16Attention::Bf16Attention(const KernelTable& table)
    : forward_rows(round_down(kMostRows, table.gemm_bf16->mr)),
      backward_rows(round_down(128, table.gemm_bf16->mr)),
      backward_keys(std::lcm<Index, Index>(table.gemm_bf16->mr, table.gemm_bf16->nr)),
      gemm_(*table.gemm_bf16),
      rows_(*table.attention_rows) {
  while (backward_keys < 128) backward_keys *= 2;
}

Index Bf16Attention::sums_row(Index head_size) const noexcept {
  return padded_row(head_size, sizeof(float));
}

Index Bf16Attention::forward_scratch_floats(Index head_size) const noexcept {
  return forward_scratch(StripProducts(gemm_), head_size, forward_rows, sums_row(head_size), nullptr).floats;
}

void Bf16Attention::forward(const AttentionGroup& g, const AttentionGroupResult& result, Index first_row,
                            Index last_row, float* scratch) const noexcept {
  const StripProducts strips(gemm_);
  const ForwardScratch w = forward_scratch(strips, g.head_size, forward_rows, sums_row(g.head_size), scratch);
  const Index count = last_row - first_row;
  std::fill_n(w.sums, count * w.sums_row, 0.0f);
  ForwardRows rows;
  rows.queries = group_rows(g, g.q, first_row, last_row, strips.padded_depth(g.head_size), w.queries, w.row);
  for (Index r = 0; r < count; ++r) {
    const Interval seen = g.mask.keys_of((first_row + r) / g.heads, g.queries, g.keys);
    rows.first[r] = seen.first;
    rows.last[r] = seen.last;
  }
  gemm_.begin();
  const Index first = rows.first[0], last = rows.last[count - 1];
  for (Index origin = round_down(first, kSoftmaxKeys); origin < last; origin += kSoftmaxKeys) {
    const Index packed = origin + round_down(std::max<Index>(first - origin, 0), gemm_.nr);
    const Index end = std::min(origin + kSoftmaxKeys, last);
    const bf16* const k = bf16_data(g.k) + packed * g.k.row_stride;
    const bf16* const v = bf16_data(g.v) + packed * g.v.row_stride;
    const bool seen_by_all = rows.first[count - 1] <= packed && rows.last[0] >= end;
    const KeyBlock block = {
        origin, packed, end, strips.pack(w.keys, {k, g.k.row_stride, 1}, end - packed, g.head_size, true),
        strips.pack(w.values, {v, 1, g.v.row_stride}, g.head_size, end - packed,
                    seen_by_all || rows_finite(v, g.v.row_stride, end - packed, g.head_size))};
    for (Index i = 0; i < count; i += gemm_.mr)
      attend(strips, rows_, g, w, rows, i, std::min<Index>(gemm_.mr, count - i), block);
  }
  gemm_.end();
  for (Index i = 0; i < count; ++i) {
    const Index r = first_row + i;
    rows_.finish(element_at(result.out, g.offset(r, result.out.row_stride)), result.out.type,
                 result.lse + g.lse_at(r), w.sums + i * w.sums_row, g.head_size, g.scale, rows.softmax[i]);
  }
}

}  // namespace loglog::kernels
