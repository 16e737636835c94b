// Rung 8: A packed as well.
//
// Idea      MR rows of A are copied into the order in which the tile reads them: MR floats per step, one behind the other.
//           The copy (7 KiB at most) is used for all strips of the block.
// Gain      1.2: nothing falls into the same few cache sets any more, and the addresses are one counter.
// Limit     C: a tile asks for its elements only when its sums are ready, and waits for them.
#pragma once
#include "kernels/simd/ladder/panels.hpp"

namespace loglog::kernels::ladder {
namespace {

// The tile of rung 7 with A packed: element (i, p) lies at a[p * ROWS + i].
template <int ROWS>
void packed_tile(Index depth, const float* a, const float* strip, float* c, Index n, Index width) {
  Vec<float> sums[ROWS][kNv];
  unroll<ROWS>([&](auto i) { unroll<kNv>([&](auto v) { sums[i][v] = Vec<float>(0.0f); }); });
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

void packed_rows(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  Panel panel;
  alignas(64) float rows_of_a[kKc * kMr];
  clear(c, m * n);
  for_blocks(n, k, [&](Index p0, Index p1, Index j0, Index j1) {
    panel.pack(b, n, p0, p1, j0, j1);
    for_tiles<kMr>(m, [&](Index i, auto rows) {
      pack_rows<rows>(rows_of_a, a + i * k + p0, k, p1 - p0);
      const float* strip = panel.data;
      for (Index j = j0; j < j1; j += kNr, strip += (p1 - p0) * kNr) {
        packed_tile<rows>(p1 - p0, rows_of_a, strip, c + i * n + j, n, j1 - j);
      }
    });
  });
}

constexpr GemmRung kPackedRows = {
    .info = {.number = 8,
             .name = "packed-rows",
             .idea = "A is copied into the order of the tile as well",
             .gain = 1.2,
             .why = "rows a power of two apart no longer drive each other out of the cache",
             .loss = "the rows of A stayed in the cache without a copy"},
    .run = packed_rows,
};

}  // namespace
}  // namespace loglog::kernels::ladder
