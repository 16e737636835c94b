// Rung 5: threads.
//
// Idea      gemm_s8 cuts C into rectangles, one job each; the best product that this ISA has.
// Gain      less than the number of threads: quantising stays on one of them.
// Limit     Amdahl's law. With weights quantised once (kernels/packed_matrix.hpp) only A is left.
#include "kernels/ladder/int8/product.hpp"
#include "kernels/ladder/int8/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void int8_threads(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  multiply_quantised(ctx, m, n, k, quantise_rows(a, m, k), quantise_columns(b, k, n), c);
}

}  // namespace

const Int8Rung kInt8Threads = {
    .info = {.number = 5,
             .name = "threads",
             .idea = "the product in jobs; quantising stays on one thread",
             .gain = kAsThreads,
             .why = "the number of threads at best: quantising is not shared",
             .loss = "quantising stays on one thread, or the threads share one core",
             .threads = true},
    .run = int8_threads,
};

}  // namespace loglog::kernels::ladder
