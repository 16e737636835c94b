// Rung 9: prefetch.
//
// Idea      A tile asks for its elements of C before it begins its sums, so that they are there when it has them. The loads
//           of C then overlap with 128 steps of arithmetic.
// Gain      1.05 where C exceeds the second-level cache; 1 where it does not.
// Limit     The multiply-add units, at last; and one core.
#pragma once
#include "kernels/simd/ladder/panels.hpp"

namespace loglog::kernels::ladder {
namespace {

// The tile of rung 8 that asks for C first.
template <int ROWS>
void prefetching_tile(Index depth, const float* a, const float* strip, float* c, Index n, Index width) {
  Vec<float> sums[ROWS][kNv];
  unroll<ROWS>([&](auto i) {
    unroll<kNv>([&](auto v) {
      sums[i][v] = Vec<float>(0.0f);
      __builtin_prefetch(c + i * n + v * kWidth, 1);
    });
  });
  for (Index p = 0; p < depth; ++p, a += ROWS, strip += kNr) {
    Vec<float> b_row[kNv];
    unroll<kNv>([&](auto v) { b_row[v] = load(strip + v * kWidth); });
    unroll<ROWS>([&](auto i) {
      const Vec<float> a_ip(a[i]);
      unroll<kNv>([&](auto v) { sums[i][v] = muladd(a_ip, b_row[v], sums[i][v]); });
    });
  }
  unroll<ROWS>([&](auto i) {
    unroll<kNv>([&](auto v) { add_to(c + i * n + v * kWidth, sums[i][v], width - v * kWidth); });
  });
}

void prefetch(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  Panel panel;
  alignas(64) float rows_of_a[kKc * kMr];
  clear(c, m * n);
  for_blocks(n, k, [&](Index p0, Index p1, Index j0, Index j1) {
    panel.pack(b, n, p0, p1, j0, j1);
    for_tiles<kMr>(m, [&](Index i, auto rows) {
      pack_rows<rows>(rows_of_a, a + i * k + p0, k, p1 - p0);
      const float* strip = panel.data;
      for (Index j = j0; j < j1; j += kNr, strip += (p1 - p0) * kNr) {
        prefetching_tile<rows>(p1 - p0, rows_of_a, strip, c + i * n + j, n, j1 - j);
      }
    });
  });
}

constexpr GemmRung kPrefetch = {
    .info = {.number = 9,
             .name = "prefetch",
             .idea = "a tile asks for its elements of C before it begins its sums",
             .gain = 1.05,
             .why = "the loads of C overlap with the arithmetic",
             .loss = "C was in the cache, and a prefetch is an instruction too"},
    .run = prefetch,
};

}  // namespace
}  // namespace loglog::kernels::ladder
