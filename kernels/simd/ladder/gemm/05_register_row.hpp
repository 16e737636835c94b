// Rung 5: sums in registers.
//
// Idea      Exchange the loops once more: fix a few vectors of one row of C, keep them in registers for a whole block of K,
//           and add them to C once. 128 loads and stores of C become one.
// Gain      1.2 while B is near: one access per multiply-add is left of three. 0.5 where its rows lie pages apart.
// Limit     Each step of p reads from another row of B, N floats further on: another page, and with N a power of two the same
//           few sets of the cache.
#pragma once
#include "kernels/simd/ladder/panels.hpp"

namespace loglog::kernels::ladder {
namespace {

void register_row(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  clear(c, m * n);
  for_blocks(n, k, [&](Index p0, Index p1, Index j0, Index j1) {
    const auto add_row = [&](Index i, Index j, auto load_b) {  // columns j .. j + kNr of row i
      Vec<float> sums[kNv];
      unroll<kNv>([&](auto v) { sums[v] = Vec<float>(0.0f); });
      for (Index p = p0; p < p1; ++p) {
        const Vec<float> a_ip(a[i * k + p]);
        unroll<kNv>([&](auto v) { sums[v] = muladd(a_ip, load_b(b + p * n, j + v * kWidth), sums[v]); });
      }
      unroll<kNv>([&](auto v) { add_to(c + i * n + j + v * kWidth, sums[v], j1 - j - v * kWidth); });
    };
    for (Index i = 0; i < m; ++i) {
      Index j = j0;
      for (; j + kNr <= j1; j += kNr) add_row(i, j, [](const float* row, Index x) { return load(row + x); });
      if (j < j1) add_row(i, j, [&](const float* row, Index x) { return load_columns(row + x, j1 - x); });
    }
  });
}

constexpr GemmRung kRegisterRow = {
    .info = {.number = 5,
             .name = "register-row",
             .idea = "a few sums of one row stay in registers for 128 steps",
             .gain = 1.2,
             .why = "one access per multiply-add instead of three, but down the columns of B: 0.5 where its "
                    "rows are pages apart",
             .loss = "down a column of B every step is another page and, N being a power of two, one of few "
                     "cache sets"},
    .run = register_row,
};

}  // namespace
}  // namespace loglog::kernels::ladder
