// Rung 4: the widest vectors that this CPU has, and fused multiply-adds.
//
// Idea      The inner loop of rung 3 in vectors of 4 (NEON), 8 (AVX2) or 16 floats (AVX-512): one instruction multiplies and
//           adds them all. The compiler's own vectors have 4, because its code has to run on any CPU.
// Gain      2: up to 4 times the width; half of that is lost, since every multiply-add still loads and stores C.
// Limit     Two loads and one store per multiply-add. A core stores one vector per cycle and could multiply two.
#pragma once
#include "kernels/simd/ladder/panels.hpp"

namespace loglog::kernels::ladder {
namespace {

void one_vector(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  clear(c, m * n);
  for_blocks(n, k, [&](Index p0, Index p1, Index j0, Index j1) {
    for (Index i = 0; i < m; ++i) {
      for (Index p = p0; p < p1; ++p) {
        const Vec<float> a_ip(a[i * k + p]);
        Index j = j0;
        for (; j + kWidth <= j1; j += kWidth) {
          float* const out = c + i * n + j;
          store(out, muladd(a_ip, load(b + p * n + j), load(out)));
        }
        add_to(c + i * n + j, a_ip * load_columns(b + p * n + j, j1 - j), j1 - j);
      }
    }
  });
}

constexpr GemmRung kOneVector = {
    .info = {.number = 4,
             .name = "one-vector",
             .idea = "the widest vectors, fused multiply-add",
             .gain = 2,
             .why = "up to 4 times the width, half of it lost to loads and stores of C",
             .loss = "columns beside whole vectors, or no wider vectors here than the compiler uses anyway"},
    .run = one_vector,
};

}  // namespace
}  // namespace loglog::kernels::ladder
