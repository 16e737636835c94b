// Attention of one head of one sequence (attention.hpp): packing, register tiles, softmax.
//
// All five matrix products (S = Q K', O += P V; dP = dO V', dV += P' dO, dK += dS' Q, dQ += dS K) are the
// same register tile: C[ROWS, NV vectors] (+)= A B, A read element by element with any strides, B from a
// panel. The causal triangle is cut at the height of a tile, and the last triangle row by row, so that no
// product ever reads a key behind its query: a NaN there must not get through 0 * NaN.
#pragma once
#include "kernels/simd/math.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Powers of two, because T, D and the blocks are. 32 registers: 16 sums + 2 + 1; 16 registers: 8 sums, which
// just covers the latency of two FMA units (4 cycles each).
constexpr int kTileRows = LOGLOG_REGISTERS >= 32 ? 8 : 4;
constexpr int kTileVectors = kWidth == 1 ? 4 : 2;
constexpr int kPanel = kTileVectors * kWidth;  // columns of a panel of B

// Forward: 16 queries x 256 keys of scores = 16 KiB. Backward: two blocks of 32 queries x 64 keys = 16 KiB.
// Half of L1; the other half is for panels.
constexpr Index kForwardQueries = 16, kForwardKeys = 256;
constexpr Index kBackwardQueries = 32, kBackwardKeys = 64;
static_assert(kForwardKeys % kForwardQueries == 0 && kBackwardKeys % kBackwardQueries == 0);
static_assert(kForwardKeys % kPanel == 0 && kBackwardKeys % kPanel == 0);
static_assert(kForwardQueries % kTileRows == 0 && kBackwardQueries % kTileRows == 0);

constexpr Index smaller(Index a, Index b) {
  return a < b ? a : b;
}
constexpr Index larger(Index a, Index b) {
  return a > b ? a : b;
}

// A(i, p) = data[i * row + p * step].
struct Left {
  const float* data;
  Index row, step;
  Left from(Index i, Index p) const { return {data + i * row + p * step, row, step}; }
};

// A matrix with `depth` rows, cut into panels of kPanel columns: element (p, j) of panel n at
// data[n * kPanel * depth + p * width + j], width = columns of that panel, rounded up to whole vectors.
struct Panels {
  const float* data;
  Index depth, cols;  // cols: a multiple of kWidth
};

template <int ROWS, int NV>
[[gnu::always_inline]] inline void tile(Index k, Left a, const float* b, float* c, Index c_row, bool add) {
  F32 sums[ROWS][NV];
  unroll<ROWS>([&](auto i) {
    unroll<NV>([&](auto j) { sums[i][j] = add ? load(c + i * c_row + j * kWidth) : F32(0.0f); });
  });
  const float* left = a.data;
  for (Index p = 0; p < k; ++p, left += a.step, b += NV * kWidth) {
    F32 b_row[NV];
    unroll<NV>([&](auto j) { b_row[j] = load(b + j * kWidth); });
    unroll<ROWS>([&](auto i) {
      const F32 a_i(left[i * a.row]);
      unroll<NV>([&](auto j) { sums[i][j] = muladd(a_i, b_row[j], sums[i][j]); });
    });
  }
  unroll<ROWS>([&](auto i) { unroll<NV>([&](auto j) { store(c + i * c_row + j * kWidth, sums[i][j]); }); });
}

// The last panel may be narrower.
template <int ROWS, int NV = kTileVectors>
void panel_product(Index vectors, Index k, Left a, const float* b, float* c, Index c_row, bool add) noexcept {
  if constexpr (NV > 0) {
    if (vectors >= NV) {
      tile<ROWS, NV>(k, a, b, c, c_row, add);
    } else {
      panel_product<ROWS, NV - 1>(vectors, k, a, b, c, c_row, add);
    }
  }
}

// C[ROWS, b.cols] (+)= A[ROWS, first..last) * B[first..last, :]; A is given from depth `first` on. The order
// of summation is ascending in depth and the same for every ROWS.
template <int ROWS>
void product(Left a, const Panels& b, Index first, Index last, float* c, Index c_row, bool add) noexcept {
  for (Index j = 0; j < b.cols; j += kPanel) {
    const Index vectors = smaller(kPanel, b.cols - j) / kWidth;
    panel_product<ROWS>(vectors, last - first, a, b.data + j * b.depth + first * vectors * kWidth, c + j,
                        c_row, add);
  }
}

// The same for `rows` <= kTileRows rows.
void product_rows(Index rows, Left a, const Panels& b, Index first, Index last, float* c, Index c_row,
                  bool add) noexcept {
  LOGLOG_DCHECK(rows <= kTileRows);
  if (rows == kTileRows) return product<kTileRows>(a, b, first, last, c, c_row, add);
  for (Index i = 0; i < rows; ++i) product<1>(a.from(i, 0), b, first, last, c + i * c_row, c_row, add);
}

// Scores of `rows` queries with the panels of keys first..last (first a multiple of kPanel): C[rows, last -
// first]. `transposed` holds D x T: each panel is kPanel keys wide.
void score_rows(Index rows, Left queries, const Panels& transposed, Index first, Index last, float* c,
                Index c_row) noexcept {
  for (Index s = first; s < last; s += kPanel) {
    const Panels panel = {transposed.data + s * transposed.depth, transposed.depth, kPanel};
    product_rows(rows, queries, panel, 0, transposed.depth, c + (s - first), c_row, false);
  }
}

// Panels of factor * X (T x D); columns behind D are zero.
Panels pack(float* out, const float* x, Index x_row, Index time, Index head_size, float factor) noexcept {
  const Index cols = round_up(head_size, kWidth);
  for (Index j = 0; j < cols; j += kPanel) {
    const Index width = smaller(kPanel, cols - j), live = smaller(width, head_size - j);
    float* panel = out + j * time;
    for (Index t = 0; t < time; ++t, panel += width) {
      for (Index c = 0; c < live; ++c) panel[c] = factor * x[t * x_row + j + c];
      for (Index c = live; c < width; ++c) panel[c] = 0.0f;
    }
  }
  return {out, time, cols};
}

// Panels of factor * X' (D x T), all of them kPanel wide; keys behind T are zero.
Panels pack_transposed(float* out, const float* x, Index x_row, Index time, Index head_size,
                       float factor) noexcept {
  const Index cols = round_up(time, kPanel);
  for (Index s = 0; s < cols; s += kPanel) {
    float* panel = out + s * head_size;
    for (Index j = 0; j < kPanel; ++j) {
      const float* row = x + (s + j) * x_row;
      if (s + j < time) {
        for (Index d = 0; d < head_size; ++d) panel[d * kPanel + j] = factor * row[d];
      } else {
        for (Index d = 0; d < head_size; ++d) panel[d * kPanel + j] = 0.0f;
      }
    }
  }
  return {out, head_size, cols};
}

// Running maximum and sum of one query's softmax.
struct OnlineSoftmax {
  float maximum, sum;
};

// Replaces n >= 1 scores by exp(score - maximum) and returns the factor that brings what was summed before to
// the new maximum. Scores up to the next whole vector are overwritten.
float softmax_step(float* scores, Index n, OnlineSoftmax& state, bool is_first) noexcept {
  LOGLOG_DCHECK(n >= 1 && n <= kForwardKeys);
  const Index padded = round_up(n, kWidth);
  for (Index j = n; j < padded; ++j) scores[j] = -__builtin_inff();
  F32 best = load(scores);
  for (Index j = kWidth; j < padded; j += kWidth) best = max(best, load(scores + j));
  float maximum = reduce_max(best);
  if (!is_first && state.maximum > maximum) maximum = state.maximum;
  F32 sum(0.0f);
  for (Index j = 0; j < padded; j += kWidth) {
    const F32 p = exp_softmax(load(scores + j) - F32(maximum));
    store(scores + j, p);
    sum = sum + p;
  }
  const float factor = is_first ? 0.0f : first_lane(exp_softmax(F32(state.maximum - maximum)));
  state.sum = (is_first ? 0.0f : state.sum * factor) + reduce_add(sum);
  state.maximum = maximum;
  return factor;
}

// C rows (queries t0..) += P V over keys [first, last), no key behind its query. P(i, s) at p[i * p_row + s - first].
void causal_product(Index rows, Index t0, const float* p, Index p_row, const Panels& b, Index first,
                    Index last, float* c, Index c_row, bool add) noexcept {
  const Index common = smaller(last, t0 + 1);  // keys that every query of this tile may see
  product_rows(rows, {p, p_row, 1}, b, first, common, c, c_row, add);
  for (Index i = 1; i < rows; ++i) {
    const Index end = smaller(last, t0 + i + 1);
    if (end > common) {
      product<1>({p + i * p_row + common - first, p_row, 1}, b, common, end, c + i * c_row, c_row, true);
    }
  }
}

struct ForwardBlock {
  float* scores;  // (kForwardQueries, kForwardKeys)
  float* sums;    // (kForwardQueries, D up to whole vectors)
  OnlineSoftmax state[kForwardQueries];
};

// All keys of the queries q0 .. q0 + rows.
void attend_block(const AttentionHead& h, const Panels& keys, const Panels& values, Index q0, Index rows,
                  ForwardBlock& block) noexcept {
  for (Index j0 = 0; j0 < q0 + rows; j0 += kForwardKeys) {
    for (Index i = 0; i < rows; i += kTileRows) {
      const Index tile_rows = smaller(kTileRows, rows - i), t0 = q0 + i;
      const Index j1 = smaller(j0 + kForwardKeys, t0 + tile_rows);
      float* scores = block.scores + i * kForwardKeys;
      float* sums = block.sums + i * values.cols;
      score_rows(tile_rows, {h.q + t0 * h.q_row, h.q_row, 1}, keys, j0, j1, scores, kForwardKeys);
      for (Index r = 0; r < tile_rows; ++r) {
        const Index visible = smaller(j1, t0 + r + 1) - j0;
        const float factor = softmax_step(scores + r * kForwardKeys, visible, block.state[i + r], j0 == 0);
        if (j0 == 0) continue;
        float* row = sums + r * values.cols;
        for (Index d = 0; d < values.cols; d += kWidth) store(row + d, load(row + d) * F32(factor));
      }
      causal_product(tile_rows, t0, scores, kForwardKeys, values, j0, j1, sums, values.cols, j0 > 0);
    }
  }
}

void attention_head_forward(const AttentionHead& h, float* out, Index out_row, float* lse,
                            float* scratch) noexcept {
  const Panels keys = pack_transposed(scratch, h.k, h.k_row, h.time, h.head_size, h.scale);
  scratch += keys.depth * keys.cols;
  const Panels values = pack(scratch, h.v, h.v_row, h.time, h.head_size, 1.0f);
  scratch += values.depth * values.cols;
  ForwardBlock block;
  block.scores = scratch;
  block.sums = scratch + kForwardQueries * kForwardKeys;
  for (Index q0 = 0; q0 < h.time; q0 += kForwardQueries) {
    const Index rows = smaller(kForwardQueries, h.time - q0);
    attend_block(h, keys, values, q0, rows, block);
    for (Index i = 0; i < rows; ++i) {
      const OnlineSoftmax& state = block.state[i];
      const F32 inverse(1.0f / state.sum);
      float* row = block.sums + i * values.cols;
      for (Index d = 0; d < values.cols; d += kWidth) store(row + d, load(row + d) * inverse);
      for (Index d = 0; d < h.head_size; ++d) out[(q0 + i) * out_row + d] = row[d];
      lse[q0 + i] = state.maximum + first_lane(log(F32(state.sum)));
    }
  }
}

Index attention_forward_scratch(Index time, Index head_size) noexcept {
  const Index cols = round_up(head_size, kWidth);
  return head_size * round_up(time, kPanel) + time * cols + kForwardQueries * (kForwardKeys + cols);
}

// Operands of backward, packed once per head.
struct BackwardHead {
  Panels keys_t, values_t;      // (D, T) for scores; keys carry the factor 1/sqrt(D)
  Panels keys, queries, d_out;  // (T, D)
  float* delta;                 // (T) sum_d d_out * out
  float* d_q;                   // (T, D up to whole vectors)
  float *d_k, *d_v;             // (kBackwardKeys, the same)
  float *p, *ds;                // (kBackwardQueries, kBackwardKeys)
};

// P and dS of `rows` queries from t0 with the keys [j0, j1): the forward scores again, then
// P = exp(S - lse), dS = P (dP - delta).
void probability_gradients(const AttentionHead& h, const AttentionHeadGradient& g, const BackwardHead& w,
                           Index t0, Index rows, Index j0, Index j1, float* p, float* ds) noexcept {
  score_rows(rows, {h.q + t0 * h.q_row, h.q_row, 1}, w.keys_t, j0, j1, p, kBackwardKeys);
  score_rows(rows, {g.d_out + t0 * g.d_out_row, g.d_out_row, 1}, w.values_t, j0, j1, ds, kBackwardKeys);
  for (Index r = 0; r < rows; ++r) {
    const F32 lse(g.lse[t0 + r]), delta(w.delta[t0 + r]);
    const Index visible = smaller(j1, t0 + r + 1) - j0;
    float* p_row = p + r * kBackwardKeys;
    float* ds_row = ds + r * kBackwardKeys;
    for (Index j = 0; j < visible; j += kWidth) {
      const F32 prob = exp_softmax(load(p_row + j) - lse);
      store(p_row + j, prob);
      store(ds_row + j, prob * (load(ds_row + j) - delta));
    }
  }
}

// C (keys s0 ..) += P' X over queries [q0, q1), no query before its key: the transpose of causal_product.
void causal_transposed_product(Index rows, Index s0, const float* p, const Panels& x, Index q0, Index q1,
                               float* c) noexcept {
  const Index common = larger(q0, s0 + rows - 1);  // from here on every key of this tile is visible
  for (Index i = 0; i < rows; ++i) {
    const Index begin = larger(q0, s0 + i), end = smaller(q1, common);
    if (begin < end) {
      product<1>({p + (begin - q0) * kBackwardKeys + i, 1, kBackwardKeys}, x, begin, end, c + i * x.cols,
                 x.cols, true);
    }
  }
  if (common < q1) {
    product_rows(rows, {p + (common - q0) * kBackwardKeys, 1, kBackwardKeys}, x, common, q1, c, x.cols, true);
  }
}

// One block of keys against all queries that see it.
void backward_key_block(const AttentionHead& h, const AttentionHeadGradient& g, const BackwardHead& w,
                        Index j0, Index j1) noexcept {
  const Index cols = w.keys.cols;
  for (Index i = 0; i < (j1 - j0) * cols; ++i) w.d_k[i] = w.d_v[i] = 0.0f;
  for (Index q0 = j0; q0 < h.time; q0 += kBackwardQueries) {
    const Index q1 = smaller(q0 + kBackwardQueries, h.time);
    for (Index t0 = q0; t0 < q1; t0 += kTileRows) {
      const Index rows = smaller(kTileRows, q1 - t0), end = smaller(j1, t0 + rows);
      float* p = w.p + (t0 - q0) * kBackwardKeys;
      float* ds = w.ds + (t0 - q0) * kBackwardKeys;
      probability_gradients(h, g, w, t0, rows, j0, end, p, ds);
      causal_product(rows, t0, ds, kBackwardKeys, w.keys, j0, end, w.d_q + t0 * cols, cols, true);
    }
    for (Index s0 = j0; s0 < j1; s0 += kTileRows) {
      const Index rows = smaller(kTileRows, j1 - s0);
      causal_transposed_product(rows, s0, w.p + (s0 - j0), w.d_out, q0, q1, w.d_v + (s0 - j0) * cols);
      causal_transposed_product(rows, s0, w.ds + (s0 - j0), w.queries, q0, q1, w.d_k + (s0 - j0) * cols);
    }
  }
}

void copy_rows(float* out, Index out_row, const float* in, Index in_row, Index rows, Index cols,
               float factor) noexcept {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) out[i * out_row + j] = factor * in[i * in_row + j];
  }
}

float dot(const float* a, const float* b, Index n) noexcept {
  F32 sum(0.0f);
  Index i = 0;
  for (; i + kWidth <= n; i += kWidth) sum = muladd(load(a + i), load(b + i), sum);
  if (i < n) sum = muladd(load_partial(a + i, n - i), load_partial(b + i, n - i), sum);
  return reduce_add(sum);
}

BackwardHead prepare_backward(const AttentionHead& h, const AttentionHeadGradient& g,
                              float* scratch) noexcept {
  BackwardHead w;
  const Index cols = round_up(h.head_size, kWidth);
  const auto take = [&](Index floats) {
    float* const at = scratch;
    scratch += floats;
    return at;
  };
  const Index wide = h.head_size * round_up(h.time, kPanel), tall = h.time * cols;
  w.keys_t = pack_transposed(take(wide), h.k, h.k_row, h.time, h.head_size, h.scale);
  w.values_t = pack_transposed(take(wide), h.v, h.v_row, h.time, h.head_size, 1.0f);
  w.keys = pack(take(tall), h.k, h.k_row, h.time, h.head_size, h.scale);
  w.queries = pack(take(tall), h.q, h.q_row, h.time, h.head_size, 1.0f);
  w.d_out = pack(take(tall), g.d_out, g.d_out_row, h.time, h.head_size, 1.0f);
  w.d_q = take(tall);
  for (Index i = 0; i < tall; ++i) w.d_q[i] = 0.0f;
  w.d_k = take(kBackwardKeys * cols);
  w.d_v = take(kBackwardKeys * cols);
  w.p = take(kBackwardQueries * kBackwardKeys);
  w.ds = take(kBackwardQueries * kBackwardKeys);
  w.delta = take(h.time);
  for (Index t = 0; t < h.time; ++t) {
    w.delta[t] = dot(g.d_out + t * g.d_out_row, g.out + t * g.out_row, h.head_size);
  }
  return w;
}

void attention_head_backward(const AttentionHead& h, const AttentionHeadGradient& g,
                             float* scratch) noexcept {
  const BackwardHead w = prepare_backward(h, g, scratch);
  const Index cols = w.keys.cols;
  for (Index j0 = 0; j0 < h.time; j0 += kBackwardKeys) {
    const Index j1 = smaller(j0 + kBackwardKeys, h.time);
    backward_key_block(h, g, w, j0, j1);
    // S = scale Q K', so dK = scale dS' Q; dQ has the factor already, from the packed keys.
    copy_rows(g.d_k + j0 * g.d_k_row, g.d_k_row, w.d_k, cols, j1 - j0, h.head_size, h.scale);
    copy_rows(g.d_v + j0 * g.d_v_row, g.d_v_row, w.d_v, cols, j1 - j0, h.head_size, 1.0f);
  }
  copy_rows(g.d_q, g.d_q_row, w.d_q, cols, h.time, h.head_size, 1.0f);
}

Index attention_backward_scratch(Index time, Index head_size) noexcept {
  const Index cols = round_up(head_size, kWidth);
  return 2 * head_size * round_up(time, kPanel) + (4 * time + 2 * kBackwardKeys) * cols +
         2 * kBackwardQueries * kBackwardKeys + time;
}

constinit const Attention kAttention = {
    .head_forward = attention_head_forward,
    .head_backward = attention_head_backward,
    .forward_scratch_floats = attention_forward_scratch,
    .backward_scratch_floats = attention_backward_scratch,
};

}  // namespace
}  // namespace loglog::kernels
