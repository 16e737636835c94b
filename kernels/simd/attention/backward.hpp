// Gradients of attention: one block of keys of a group (table.hpp) against blocks of its rows in ascending order. The
// forward scores again, P = exp(S - lse), dP = dO V', dS = P (dP - delta); dQ += dS K, dV += P' dO, dK += dS' Q.
#pragma once
#include "kernels/scratch_pieces.hpp"
#include "kernels/simd/attention/pack.hpp"

namespace loglog::kernels {
namespace {

// P and dS are 32 KiB each: half of L1, but their products take 64 and 128 steps of depth between a load and a store of a sum.
// 32 rows x 64 keys, which stay in L1, are slower all the same (docs/kernels.md). Every sum is one chain, keys
// ascending for d_q, rows ascending for d_k and d_v, so these numbers decide no bit.
constexpr Index kBackwardRows = 64, kBackwardKeys = 128;
static_assert(kBackwardRows % kTileRows == 0 && kBackwardKeys % kPanel == 0);

// What a block of keys has in scratch.
struct BackwardScratch {
  Index row;                 // floats from one row of D to the next
  float *keys_t, *values_t;  // (D, kBackwardKeys) panels for scores; keys carry the factor 1 / sqrt(D)
  float* keys;               // (kBackwardKeys, row) the same keys for d_q
  float *d_k, *d_v;          // (kBackwardKeys, row)
  float *queries, *d_out;    // (kBackwardRows, row)
  float *p, *ds;             // (kBackwardRows, kBackwardKeys)
  Index floats;              // of all
};

BackwardScratch backward_scratch(Index head_size, float* scratch) noexcept {
  BackwardScratch w;
  w.row = padded_row(head_size);
  ScratchPieces pieces(scratch);
  w.keys_t = pieces.take<float>(head_size * kBackwardKeys);
  w.values_t = pieces.take<float>(head_size * kBackwardKeys);
  w.keys = pieces.take<float>(kBackwardKeys * w.row);
  w.d_k = pieces.take<float>(kBackwardKeys * w.row);
  w.d_v = pieces.take<float>(kBackwardKeys * w.row);
  w.queries = pieces.take<float>(kBackwardRows * w.row);
  w.d_out = pieces.take<float>(kBackwardRows * w.row);
  w.p = pieces.take<float>(kBackwardRows * kBackwardKeys);
  w.ds = pieces.take<float>(kBackwardRows * kBackwardKeys);
  w.floats = pieces.floats();
  return w;
}

Index attention_backward_scratch(Index head_size) noexcept {
  return backward_scratch(head_size, nullptr).floats;
}

void attention_backward_begin(const AttentionGroup& g, Index first_key, Index last_key,
                              float* scratch) noexcept {
  const BackwardScratch w = backward_scratch(g.head_size, scratch);
  pack_transposed(w.keys_t, g.k, first_key, last_key, g.head_size, g.scale);
  pack_transposed(w.values_t, g.v, first_key, last_key, g.head_size, 1.0f);
  pack_key_rows(w.keys, g.k, first_key, last_key, g.head_size, g.scale);
  for (Index i = 0; i < (last_key - first_key) * w.row; ++i) w.d_k[i] = w.d_v[i] = 0.0f;
}

float dot(const float* a, const float* b, Index n) noexcept {
  F32 sum(0.0f);
  for (Index i = 0; i < n; i += kWidth) sum = muladd(load(a + i), load(b + i), sum);
  return reduce_add(sum);
}

// d_q_sums = 0, delta = sum_d d_out * out. `tmp_out`: (rows, row).
void begin_rows(const AttentionGroup& g, const AttentionGroupGradient& d, const AttentionBlock& b,
                const BackwardScratch& w, float* tmp_out) noexcept {
  const Index cols = round_up(g.head_size, kWidth), rows = b.last_row - b.first_row;
  pack_group_rows(tmp_out, g, d.out, b.first_row, b.last_row);
  for (Index i = 0; i < rows; ++i) {
    d.delta[b.first_row + i] = dot(w.d_out + i * w.row, tmp_out + i * w.row, cols);
    float* sums = d.d_q_sums + (b.first_row + i) * w.row;
    for (Index j = 0; j < cols; j += kWidth) store(sums + j, F32(0.0f));
  }
}

struct RowLimits {
  Index first[kBackwardRows], last[kBackwardRows];  // the keys that each row of the block sees
};

// P and dS of the rows [i, i + rows) of the block, and their part of d_q.
void backward_row_tile(const AttentionGroup& g, const AttentionGroupGradient& d, const AttentionBlock& b,
                       const BackwardScratch& w, const RowLimits& limits, Index i, Index rows) noexcept {
  const Index j0 = b.first_key;
  const Index lo = j0 + round_down(larger(limits.first[i] - j0, 0), kPanel);
  const Index hi = smaller(b.last_key, limits.last[i + rows - 1]);
  if (lo >= hi) return;
  const Index vectors = round_up(hi - lo, kWidth), cols = round_up(g.head_size, kWidth);
  float* const p = w.p + i * kBackwardKeys;
  float* const ds = w.ds + i * kBackwardKeys;
  product<Start::zero>(rows, g.head_size, {w.queries + i * w.row, w.row, 1},
                       transposed_panels(w.keys_t, lo - j0, g.head_size),
                       {p + (lo - j0), kBackwardKeys, vectors});
  product<Start::zero>(rows, g.head_size, {w.d_out + i * w.row, w.row, 1},
                       transposed_panels(w.values_t, lo - j0, g.head_size),
                       {ds + (lo - j0), kBackwardKeys, vectors});
  for (Index r = 0; r < rows; ++r) {
    const Index row = b.first_row + i + r;
    const F32 log2e(static_cast<float>(kLog2e)), lse(d.lse[g.lse_at(row)]), delta(d.delta[row]);
    const Index from = round_down(larger(limits.first[i + r], j0) - j0, kWidth);
    const Index to = smaller(limits.last[i + r], b.last_key) - j0;
    for (Index j = r * kBackwardKeys + from; j < r * kBackwardKeys + to; j += kWidth) {
      const F32 weight = exp2_softmax((load(p + j) - lse) * log2e);
      store(p + j, weight);
      store(ds + j, weight * (load(ds + j) - delta));
    }
  }
  limited_product(rows, lo, hi, limits.first + i, limits.last + i, {ds + (lo - j0), kBackwardKeys, 1},
                  {w.keys + (lo - j0) * w.row, w.row, 1},
                  {d.d_q_sums + (b.first_row + i) * w.row, w.row, cols});
}

// The part of d_k and d_v that the block's rows make.
void backward_key_tiles(const AttentionGroup& g, const AttentionBlock& b, const BackwardScratch& w) noexcept {
  const Index cols = round_up(g.head_size, kWidth);
  for (Index s0 = b.first_key; s0 < b.last_key; s0 += kTileRows) {
    const Index keys = smaller(kTileRows, b.last_key - s0), at = s0 - b.first_key;
    Index first[kTileRows], last[kTileRows];  // the rows that see each key
    for (Index s = 0; s < keys; ++s) {
      const Interval seen = g.mask.queries_of(s0 + s, g.queries, g.keys);
      first[s] = seen.first * g.heads;
      last[s] = seen.last * g.heads;
    }
    limited_product(keys, b.first_row, b.last_row, first, last, {w.p + at, 1, kBackwardKeys},
                    {w.d_out, w.row, 1}, {w.d_v + at * w.row, w.row, cols});
    limited_product(keys, b.first_row, b.last_row, first, last, {w.ds + at, 1, kBackwardKeys},
                    {w.queries, w.row, 1}, {w.d_k + at * w.row, w.row, cols});
  }
}

void attention_backward_block(const AttentionGroup& g, const AttentionGroupGradient& d,
                              const AttentionBlock& b, float* scratch) noexcept {
  LOGLOG_DCHECK(b.last_row - b.first_row <= kBackwardRows && b.last_key - b.first_key <= kBackwardKeys);
  const BackwardScratch w = backward_scratch(g.head_size, scratch);
  const Index rows = b.last_row - b.first_row;
  pack_group_rows(w.d_out, g, d.d_out, b.first_row, b.last_row);
  if (b.is_first) begin_rows(g, d, b, w, w.queries);
  pack_group_rows(w.queries, g, g.q, b.first_row, b.last_row);
  RowLimits limits;
  for (Index r = 0; r < rows; ++r) {
    const Interval seen = g.mask.keys_of((b.first_row + r) / g.heads, g.queries, g.keys);
    limits.first[r] = seen.first;
    limits.last[r] = seen.last;
  }
  for (Index i = 0; i < rows; i += kTileRows)
    backward_row_tile(g, d, b, w, limits, i, smaller(kTileRows, rows - i));
  backward_key_tiles(g, b, w);
  if (!b.is_last) return;
  with_type(d.d_q, [&](auto* data) {
    for (Index r = b.first_row; r < b.last_row; ++r)
      unpack_row(data + g.offset(r, d.d_q.row_stride), d.d_q_sums + r * w.row, g.head_size, 1.0f);
  });
}

// S = scale Q K', so dK = scale dS' Q; dQ has the factor already, from the packed keys.
void attention_backward_end(const AttentionGroup& g, const AttentionGroupGradient& d, Index first_key,
                            Index last_key, float* scratch) noexcept {
  const BackwardScratch w = backward_scratch(g.head_size, scratch);
  unpack_key_rows(d.d_k, first_key, last_key, w.d_k, g.head_size, g.scale);
  unpack_key_rows(d.d_v, first_key, last_key, w.d_v, g.head_size, 1.0f);
}

}  // namespace
}  // namespace loglog::kernels
