// What the vector rungs of the gemm ladder share, so that each shows its own idea alone: the blocks of rung 3, the packed
// panel of rung 6 and the packed rows of rung 8, and the narrow vectors and tiles at the edges of C.
#pragma once
#include "kernels/ladder/gemm.hpp"
#include "kernels/simd/simd.hpp"

namespace loglog::kernels::ladder {
namespace {

constexpr Index kKc = 128;                          // rows of B in a block
constexpr int kNv = LOGLOG_NV, kNr = kNv * kWidth;  // columns of a strip: NV vectors
constexpr int kMr = LOGLOG_MR;                      // rows of a register tile
constexpr Index kNc = Index{512 / kNr} * kNr;       // columns of a block

inline Index smaller(Index a, Index b) {
  return a < b ? a : b;
}

// A block of B in strips of kNr columns: strip after strip, kNr floats per row. 256 KiB at most, on the stack.
struct Panel {
  alignas(64) float data[kKc * kNc];

  // Rows p0 .. p1 of B, columns j0 .. j1; zeros behind the last column.
  void pack(const float* b, Index n, Index p0, Index p1, Index j0, Index j1) {
    float* out = data;
    for (Index j = j0; j < j1; j += kNr) {
      const Index width = smaller(kNr, j1 - j);
      for (Index p = p0; p < p1; ++p, out += kNr) {
        for (Index x = 0; x < width; ++x) out[x] = b[p * n + j + x];
        for (Index x = width; x < kNr; ++x) out[x] = 0.0f;
      }
    }
  }
};

// ROWS rows of A, `depth` steps each, in the order of a tile: ROWS floats per step.
template <int ROWS>
void pack_rows(float* out, const float* a, Index a_row, Index depth) {
  for (Index p = 0; p < depth; ++p, out += ROWS) {
    unroll<ROWS>([&](auto i) { out[i] = a[i * a_row + p]; });
  }
}

// Runs body(p0, p1, j0, j1) for every block of B: columns j0 .. j1 of rows p0 .. p1.
template <class Body>
[[gnu::always_inline]] inline void for_blocks(Index n, Index k, Body&& body) {
  for (Index p0 = 0; p0 < k; p0 += kKc) {
    for (Index j0 = 0; j0 < n; j0 += kNc) body(p0, smaller(p0 + kKc, k), j0, smaller(j0 + kNc, n));
  }
}

// Runs body(i, integral_constant rows) for tiles of MR rows from 0 to m; the last rows by a tile of just their height.
template <int MR, class Body>
[[gnu::always_inline]] inline void for_tiles(Index m, Body&& body) {
  Index i = 0;
  for (; i + MR <= m; i += MR) body(i, std::integral_constant<int, MR>{});
  unroll<MR - 1>([&](auto r) {
    constexpr int kRows = decltype(r)::value + 1;
    if (m - i == kRows) body(i, std::integral_constant<int, kRows>{});
  });
}

inline void clear(float* c, Index count) {
  for (Index i = 0; i < count; ++i) c[i] = 0.0f;
}

// A vector of the first `width` floats at b, zeros behind them.
[[gnu::always_inline]] inline Vec<float> load_columns(const float* b, Index width) {
  if (width >= kWidth) return load(b);
  return width > 0 ? load_partial(b, width) : Vec<float>(0.0f);
}

// The first `width` floats of a vector.
[[gnu::always_inline]] inline void store_columns(float* p, Vec<float> v, Index width) {
  if (width >= kWidth) {
    store(p, v);
  } else if (width > 0) {
    store_partial(p, v, width);
  }
}

// Adds a vector to the first `width` floats at c; a whole vector when there are as many.
[[gnu::always_inline]] inline void add_to(float* c, Vec<float> sum, Index width) {
  if (width >= kWidth) {
    store(c, load(c) + sum);
  } else if (width > 0) {
    store_partial(c, load_partial(c, width) + sum, width);
  }
}

}  // namespace
}  // namespace loglog::kernels::ladder
