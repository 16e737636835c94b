// Rung 10: threads.
//
// Idea      Rows of C are independent: every thread takes a range of them and runs the rung before on it.
// Gain      the number of threads, if each has a core of its own.
// Limit     Every thread packs all of B for itself, and they share the third-level cache and the memory.
#include <algorithm>

#include "kernels/ladder/gemm/rungs.hpp"
#include "kernels/ladder/table.hpp"
#include "kernels/parallel.hpp"

namespace loglog::kernels::ladder {
namespace {

void threads(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  const GemmRung& one_thread = *(ladder_table(ctx.kernels).gemm.end() - 1);
  const Index rows = std::max<Index>(1, ceil_div(m, ctx.threads));  // of one thread
  parallel_tasks(ctx.threads, ceil_div(m, rows), [&](Index task, int) {
    const Index i = task * rows;
    one_thread.run(ctx, std::min(rows, m - i), n, k, a + i * k, b, c + i * n);
  });
}

}  // namespace

const GemmRung kThreads = {
    .info = {.number = 10,
             .name = "threads",
             .idea = "every thread takes a range of rows",
             .gain = kAsThreads,
             .why = "the number of threads, each with a core of its own",
             .loss = "the threads share one core, or the product is too small to cut",
             .threads = true},
    .run = threads,
};

}  // namespace loglog::kernels::ladder
