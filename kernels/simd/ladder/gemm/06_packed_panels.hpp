// Rung 6: packed panels.
//
// Idea      Copy a block of B into strips of NV vectors that lie in memory in just the order in which they are read. The copy
//           is made once per block and read once per row of A; zeros fill the last strip, so the inner loop has no edge.
// Gain      2.5 where rows of B lie pages apart; 1 where all of B is near.
// Limit     Latency: a sum waits 4 cycles for its last multiply-add, and only NV chains run. And each vector of B that is
//           loaded is used once.
#pragma once
#include "kernels/simd/ladder/panels.hpp"

namespace loglog::kernels::ladder {
namespace {

void packed_panels(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  Panel panel;
  clear(c, m * n);
  for_blocks(n, k, [&](Index p0, Index p1, Index j0, Index j1) {
    panel.pack(b, n, p0, p1, j0, j1);
    for (Index i = 0; i < m; ++i) {
      const float* strip = panel.data;
      for (Index j = j0; j < j1; j += kNr) {
        Vec<float> sums[kNv];
        unroll<kNv>([&](auto v) { sums[v] = Vec<float>(0.0f); });
        for (Index p = p0; p < p1; ++p, strip += kNr) {
          const Vec<float> a_ip(a[i * k + p]);
          unroll<kNv>([&](auto v) { sums[v] = muladd(a_ip, load(strip + v * kWidth), sums[v]); });
        }
        unroll<kNv>([&](auto v) { add_to(c + i * n + j + v * kWidth, sums[v], j1 - j - v * kWidth); });
      }
    }
  });
}

constexpr GemmRung kPackedPanels = {
    .info = {.number = 6,
             .name = "packed-panels",
             .idea = "B is copied into the order in which it is read",
             .gain = 2.5,
             .why = "cache line behind cache line instead of page behind page; 1 where B is near anyway",
             .loss = "B was near without a copy, or few rows use each copy"},
    .run = packed_panels,
};

}  // namespace
}  // namespace loglog::kernels::ladder
