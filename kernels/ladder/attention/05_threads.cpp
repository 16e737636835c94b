// Rung 5: threads.
//
// Idea      Heads do not depend on each other: every thread takes some.
// Gain      the number of threads, if each has a core of its own.
// Limit     Fewer heads than threads leave some without work; FlashAttention-2 then cuts the queries as well.
#include "kernels/ladder/attention/rungs.hpp"
#include "kernels/ladder/table.hpp"
#include "kernels/parallel.hpp"

namespace loglog::kernels::ladder {
namespace {

void attention_threads(ExecContext& ctx, const AttentionCall& c) {
  const AttentionRung& one_thread = *(ladder_table(ctx.kernels).attention.end() - 1);
  parallel_tasks(ctx.threads, c.heads, [&](Index h, int) {
    const Index first = h * c.time * c.size;
    AttentionCall head = c;
    head.heads = 1;
    head.q += first;
    head.k += first;
    head.v += first;
    head.out += first;
    one_thread.run(ctx, head);
  });
}

}  // namespace

const AttentionRung kAttentionThreads = {
    .info = {.number = 5,
             .name = "threads",
             .idea = "every thread takes some of the heads",
             .gain = kAsThreads,
             .why = "the number of threads, each with a core of its own",
             .loss = "the threads share one core, or there are fewer heads than threads",
             .threads = true},
    .run = attention_threads,
};

}  // namespace loglog::kernels::ladder
