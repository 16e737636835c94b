// Rung 1: three loops, the definition typed in.
//
// Idea      C[i,j] is the product of a row of A and a column of B.
// Gain      none yet: this is what the others are measured against.
// Limit     A column of B is read with a stride of N floats: every step touches another cache line and uses 4 of its 64
//           bytes. And the sum is one chain of additions, each of which waits 3 to 4 cycles for the one before.
#include "kernels/ladder/gemm/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void three_loops(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) {
      float sum = 0.0f;
      for (Index p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
  }
}

}  // namespace

const GemmRung kThreeLoops = {
    .info = {.number = 1,
             .name = "three-loops",
             .idea = "the definition: row times column",
             .gain = 0,
             .why = "the start",
             .parts = true},
    .run = three_loops,
};

}  // namespace loglog::kernels::ladder
