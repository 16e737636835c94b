// Rung 7: the register tile.
//
// Idea      Sums of MR rows at once, MR x NV vectors that fill the registers. A vector of B is loaded once and used MR
//           times; MR x NV independent chains hide the latency of the multiply-add.
// Gain      2: from 2 chains of 4 cycles each to as many as two pipes can take.
// Limit     Loads of A: rows of A lie K floats apart, and with K a power of two they fall into the same few sets of the
//           nearest cache and drive each other out.
#pragma once
#include "kernels/simd/ladder/panels.hpp"

namespace loglog::kernels::ladder {
namespace {

// C[ROWS, width] += A[ROWS, depth] * strip[depth, kNr]. One call left in it, that of a lambda, and GCC keeps the sums in memory
// (avx2, 256 cubed: 52 instead of 92 GFLOP/s): flattened.
template <int ROWS>
[[gnu::flatten]] void tile(Index depth, const float* a, Index a_row, const float* strip, float* c, Index n,
                           Index width) {
  Vec<float> sums[ROWS][kNv];
  unroll<ROWS>([&](auto i) { unroll<kNv>([&](auto v) { sums[i][v] = Vec<float>(0.0f); }); });
  for (Index p = 0; p < depth; ++p, ++a, strip += kNr) {
    Vec<float> b_row[kNv];
    unroll<kNv>([&](auto v) { b_row[v] = load(strip + v * kWidth); });
    unroll<ROWS>([&](auto i) {
      const Vec<float> a_ip(a[i * a_row]);
      unroll<kNv>([&](auto v) { sums[i][v] = muladd(a_ip, b_row[v], sums[i][v]); });
    });
  }
  unroll<ROWS>([&](auto i) {
    unroll<kNv>([&](auto v) { add_to(c + i * n + v * kWidth, sums[i][v], width - v * kWidth); });
  });
}

void register_tile(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  Panel panel;
  clear(c, m * n);
  for_blocks(n, k, [&](Index p0, Index p1, Index j0, Index j1) {
    panel.pack(b, n, p0, p1, j0, j1);
    for_tiles<kMr>(m, [&](Index i, auto rows) {
      const float* strip = panel.data;
      for (Index j = j0; j < j1; j += kNr, strip += (p1 - p0) * kNr) {
        tile<rows>(p1 - p0, a + i * k + p0, k, strip, c + i * n + j, n, j1 - j);
      }
    });
  });
}

constexpr GemmRung kRegisterTile = {
    .info = {.number = 7,
             .name = "register-tile",
             .idea = "a tile of MR rows: each load of B is used MR times, and the chains hide the latency",
             .gain = 2,
             .why = "from 2 chains of 4 cycles to as many as the multiply-add units can take"},
    .run = register_tile,
};

}  // namespace
}  // namespace loglog::kernels::ladder
