#include "kernels/attention_bf16.hpp"
#include "kernels/attention_bf16_strips.hpp"

namespace loglog::kernels {
namespace {

struct BackwardScratch {
  Index row, sums_row, score_row, weight_row;
  bf16 *keys_by_depth, *values_by_depth, *keys_by_key;  // panels: columns are keys, keys, elements of a head
  bool* finite;                                         // keys
  float *d_k, *d_v;                                     // (keys, sums_row)
  bf16 *queries, *d_out;                                // (rows, row)
  bf16 *query_panels, *d_out_panels;                    // columns are elements of a head
  float *scores, *d_weights;                            // (mr, score_row)
  bf16 *weights, *d_scores;                             // (rows, weight_row)
  bf16* panel;
  std::byte* left;
  Index floats;
};

BackwardScratch backward_scratch(const StripProducts& strips, Index head_size, Index rows, Index keys,
                                 Index sums_row, float* scratch) {
  BackwardScratch w;
  w.row = padded_row(strips.padded_depth(head_size), sizeof(bf16));
  w.sums_row = sums_row;
  w.score_row = padded_row(keys, sizeof(float));
  w.weight_row = padded_row(keys, sizeof(bf16));
  ScratchPieces pieces(scratch);
  w.keys_by_depth = pieces.take<bf16>(strips.panel_elements(head_size, keys));
  w.values_by_depth = pieces.take<bf16>(strips.panel_elements(head_size, keys));
  w.keys_by_key = pieces.take<bf16>(strips.panel_elements(keys, head_size));
  w.finite = pieces.take<bool>(1);
  w.d_k = pieces.take<float>(keys * sums_row);
  w.d_v = pieces.take<float>(keys * sums_row);
  w.queries = pieces.take<bf16>(rows * w.row);
  w.d_out = pieces.take<bf16>(rows * w.row);
  w.query_panels = pieces.take<bf16>(strips.panel_elements(rows, head_size));
  w.d_out_panels = pieces.take<bf16>(strips.panel_elements(rows, head_size));
  w.scores = pieces.take<float>(strips.mr() * w.score_row);
  w.d_weights = pieces.take<float>(strips.mr() * w.score_row);
  w.weights = pieces.take<bf16>(strips.padded_depth(rows) * w.weight_row);
  w.d_scores = pieces.take<bf16>(strips.padded_depth(rows) * w.weight_row);
  w.panel = pieces.take<bf16>(strips.panel_elements(std::max(rows, keys), 1));
  w.left = pieces.take<std::byte>(strips.left_bytes(std::max({rows, keys, head_size})));
  w.floats = pieces.floats();
  return w;
}

// One block of rows against one of keys.
struct BackwardBlock {
  const StripProducts& strips;
  const AttentionRows& rows_of;
  const AttentionGroup& g;
  const AttentionGroupGradient& d;
  const AttentionBlock& b;
  const BackwardScratch& w;
  Index rows, keys;
  Index first[kMostRows], last[kMostRows];  // the keys that each row sees, from the block's first on
  LinesView<bf16> queries, d_out;
  StripPanels query_panels, d_out_panels, key_panels;

  void run() {
    for (Index i = 0; i < rows; i += strips.mr()) row_tile(i, std::min(strips.mr(), rows - i));
    const Index padded = strips.padded_depth(rows);
    std::fill_n(w.weights + rows * w.weight_row, (padded - rows) * w.weight_row, bf16{});
    std::fill_n(w.d_scores + rows * w.weight_row, (padded - rows) * w.weight_row, bf16{});
    for (Index j = 0; j < keys; j += strips.mr()) key_tile(j, std::min(strips.mr(), keys - j));
  }

  // P and dS of some rows, and their part of d_q.
  void row_tile(Index i, Index count) {
    const Index lo = round_down(first[i], strips.nr()), hi = last[i + count - 1];
    const Index padded_keys = strips.padded_depth(keys);
    for (Index r = i; r < i + count; ++r) {  // what score_gradients leaves
      const Index zeros = lo < hi ? lo : padded_keys;
      std::fill_n(w.weights + r * w.weight_row, zeros, bf16{});
      std::fill_n(w.d_scores + r * w.weight_row, zeros, bf16{});
    }
    if (lo >= hi) return;
    const Index depth = strips.padded_depth(hi - lo);
    const Index head_depth = strips.padded_depth(g.head_size);
    strips.multiply(from_line(queries, i), count, head_depth,
                    {w.keys_by_depth + lo * head_depth, head_depth, true}, 0, hi - lo, w.scores, w.score_row,
                    false, w.left);
    strips.multiply(from_line(d_out, i), count, head_depth,
                    {w.values_by_depth + lo * head_depth, head_depth, true}, 0, hi - lo, w.d_weights,
                    w.score_row, false, w.left);
    Index from[kMostTileRows] = {}, to[kMostTileRows] = {};
    float lse[kMostTileRows] = {};
    for (Index r = 0; r < count; ++r) {
      const Index row = b.first_row + i + r;
      from[r] = std::clamp(first[i + r], lo, hi) - lo;
      to[r] = std::clamp(last[i + r], lo, hi) - lo;
      lse[r] = d.lse[g.lse_at(row)];
    }
    bf16* const d_scores = w.d_scores + i * w.weight_row + lo;
    rows_of.score_gradients({.rows = count,
                             .cols = padded_keys - lo,
                             .first = from,
                             .last = to,
                             .scale = g.scale,
                             .scores = w.scores,
                             .d_weights = w.d_weights,
                             .score_row = w.score_row,
                             .lse = lse,
                             .delta = d.delta + b.first_row + i,
                             .weights = w.weights + i * w.weight_row + lo,
                             .d_scores = d_scores,
                             .weight_row = w.weight_row});
    multiply({d_scores, w.weight_row, 1}, count, depth, from, to, key_panels, lo,
             d.d_q_sums + (b.first_row + i) * w.sums_row);
  }

  // The part of d_k and d_v of some keys.
  void key_tile(Index j, Index count) {
    Index from[kMostTileRows] = {}, to[kMostTileRows] = {};
    for (Index s = 0; s < count; ++s) {
      const Interval seen = g.mask.queries_of(b.first_key + j + s, g.queries, g.keys);
      from[s] = std::clamp(seen.first * g.heads - b.first_row, Index{0}, rows);
      to[s] = std::clamp(seen.last * g.heads - b.first_row, Index{0}, rows);
    }
    const Index lo = strips.first_group(from[0]), hi = to[count - 1];
    if (lo >= hi) return;
    for (Index s = 0; s < count; ++s) {
      from[s] = std::max(from[s], lo) - lo;
      to[s] = std::max(to[s], lo) - lo;
    }
    const Index depth = strips.padded_depth(hi - lo), at = lo * w.weight_row + j;
    multiply({w.weights + at, 1, w.weight_row}, count, depth, from, to, d_out_panels, lo,
             w.d_v + j * w.sums_row);
    multiply({w.d_scores + at, 1, w.weight_row}, count, depth, from, to, query_panels, lo,
             w.d_k + j * w.sums_row);
  }

  void multiply(LinesView<bf16> a, Index count, Index depth, const Index* from, const Index* to,
                const StripPanels& right, Index step, float* sums) const {
    if (right.finite)
      return strips.multiply(a, count, depth, right, step, g.head_size, sums, w.sums_row, true, w.left);
    strips.multiply_limited(a, count, from, to, right, step, g.head_size, sums, w.sums_row, w.left, w.panel);
  }
};

}  // namespace

Index Bf16Attention::backward_scratch_floats(Index head_size) const noexcept {
  return backward_scratch(StripProducts(gemm_), head_size, backward_rows, backward_keys, sums_row(head_size),
                          nullptr)
      .floats;
}

void Bf16Attention::backward_begin(const AttentionGroup& g, Index first_key, Index last_key,
                                   float* scratch) const noexcept {
  const StripProducts strips(gemm_);
  const BackwardScratch w =
      backward_scratch(strips, g.head_size, backward_rows, backward_keys, sums_row(g.head_size), scratch);
  const Index keys = last_key - first_key;
  const bf16* const k = bf16_data(g.k) + first_key * g.k.row_stride;
  const bf16* const v = bf16_data(g.v) + first_key * g.v.row_stride;
  strips.pack(w.keys_by_depth, {k, g.k.row_stride, 1}, keys, g.head_size, true);
  strips.pack(w.values_by_depth, {v, g.v.row_stride, 1}, keys, g.head_size, true);
  strips.pack(w.keys_by_key, {k, 1, g.k.row_stride}, g.head_size, keys, true);
  *w.finite = rows_finite(k, g.k.row_stride, keys, g.head_size);
  std::fill_n(w.d_k, keys * w.sums_row, 0.0f);
  std::fill_n(w.d_v, keys * w.sums_row, 0.0f);
}

void Bf16Attention::backward_block(const AttentionGroup& g, const AttentionGroupGradient& d,
                                   const AttentionBlock& b, float* scratch) const noexcept {
  const StripProducts strips(gemm_);
  const BackwardScratch w =
      backward_scratch(strips, g.head_size, backward_rows, backward_keys, sums_row(g.head_size), scratch);
  const Index rows = b.last_row - b.first_row, keys = b.last_key - b.first_key;
  const Index padded = strips.padded_depth(g.head_size);
  const auto queries = group_rows(g, g.q, b.first_row, b.last_row, padded, w.queries, w.row);
  const auto d_out = group_rows(g, d.d_out, b.first_row, b.last_row, padded, w.d_out, w.row);
  if (b.is_first) {
    for (Index r = b.first_row; r < b.last_row; ++r) {
      d.delta[r] = rows_.dot(element_at(d.d_out, g.offset(r, d.d_out.row_stride)), d.d_out.type,
                             element_at(d.out, g.offset(r, d.out.row_stride)), d.out.type, g.head_size);
    }
    std::fill(d.d_q_sums + b.first_row * w.sums_row, d.d_q_sums + b.last_row * w.sums_row, 0.0f);
  }
  BackwardBlock block = {.strips = strips,
                         .rows_of = rows_,
                         .g = g,
                         .d = d,
                         .b = b,
                         .w = w,
                         .rows = rows,
                         .keys = keys,
                         .first = {},
                         .last = {},
                         .queries = queries,
                         .d_out = d_out,
                         .query_panels = {},
                         .d_out_panels = {},
                         .key_panels = {w.keys_by_key, strips.padded_depth(keys), *w.finite}};
  for (Index r = 0; r < rows; ++r) {
    const Interval seen = g.mask.keys_of((b.first_row + r) / g.heads, g.queries, g.keys);
    block.first[r] = std::clamp(seen.first - b.first_key, Index{0}, keys);
    block.last[r] = std::clamp(seen.last - b.first_key, Index{0}, keys);
  }
  const bool all_seen = block.first[rows - 1] == 0 && block.last[0] == keys;
  const auto pack = [&](bf16* out, const LinesView<bf16>& x) {
    return strips.pack(out, {x.data, 1, x.line_stride}, g.head_size, rows,
                       all_seen || rows_finite(x.data, x.line_stride, rows, g.head_size));
  };
  block.query_panels = pack(w.query_panels, queries);
  block.d_out_panels = pack(w.d_out_panels, d_out);
  gemm_.begin();
  block.run();
  gemm_.end();
  if (!b.is_last) return;
  for (Index r = b.first_row; r < b.last_row; ++r)
    rows_.store_row(element_at(d.d_q, g.offset(r, d.d_q.row_stride)), d.d_q.type, d.d_q_sums + r * w.sums_row,
                    g.head_size, g.scale);
}

void Bf16Attention::backward_end(const AttentionGroup& g, const AttentionGroupGradient& d, Index first_key,
                                 Index last_key, float* scratch) const noexcept {
  const BackwardScratch w = backward_scratch(StripProducts(gemm_), g.head_size, backward_rows, backward_keys,
                                             sums_row(g.head_size), scratch);
  for (Index s = first_key; s < last_key; ++s) {
    const Index at = (s - first_key) * w.sums_row;
    rows_.store_row(element_at(d.d_k, s * d.d_k.row_stride), d.d_k.type, w.d_k + at, g.head_size, g.scale);
    rows_.store_row(element_at(d.d_v, s * d.d_v.row_stride), d.d_v.type, w.d_v + at, g.head_size, 1.0f);
  }
}

}  // namespace loglog::kernels
