// Rung 2: the same three loops in the order i, p, j.
//
// Idea      The innermost loop runs along rows of B and C. Every byte of a cache line is used, the steps do not wait for
//           each other, and the compiler turns four of them into one vector instruction.
// Gain      10: 4 floats per instruction, and no chain of additions to wait for.
// Limit     Each product loads and stores an element of C, and all of B passes through the cache once per row of A.
#include <algorithm>

#include "kernels/ladder/gemm/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void loop_order(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  std::fill_n(c, m * n, 0.0f);
  for (Index i = 0; i < m; ++i) {
    for (Index p = 0; p < k; ++p) {
      for (Index j = 0; j < n; ++j) c[i * n + j] += a[i * k + p] * b[p * n + j];
    }
  }
}

}  // namespace

const GemmRung kLoopOrder = {
    .info = {.number = 2,
             .name = "loop-order",
             .idea = "i, p, j: the inner loop runs along rows",
             .gain = 10,
             .why = "whole cache lines, 4 floats per instruction, no chain of sums",
             .parts = true},
    .run = loop_order,
};

}  // namespace loglog::kernels::ladder
