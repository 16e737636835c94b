// Rung 11: the library's own kernel, kernels/gemm.cpp.
//
// Idea      The same loops with what a library has to add: A in blocks as well, jobs of equal size for any number of
//           threads and any shape, operands read in place where a copy would not pay, transposed operands.
// Gain      1.1 on a cube; more on the thin products of training.
// Limit     The multiply-add units and what feeds them: 0.65 to 0.95 of the measured peak, by CPU (docs/kernels.md).
#include "kernels/gemm.hpp"

#include "kernels/ladder/gemm/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void library(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  gemm(ctx, {a, m, k}, {b, k, n}, {c, m, n});
}

}  // namespace

const GemmRung kLibrary = {
    .info = {.number = 11,
             .name = "library",
             .idea = "loglog's own gemm: both operands blocked, jobs of equal size",
             .gain = 1.1,
             .why = "less packing, and jobs that keep every thread busy to the end",
             .loss =
                 "this shape suits the simple loops too, or the compiler has vectors that this ISA has not",
             .threads = true},
    .run = library,
};

}  // namespace loglog::kernels::ladder
