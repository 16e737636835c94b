// Rung 8: gradients with recomputation, the library's own kernels.
//
// Idea      Keep one number per row, lse = log sum exp S, and compute P = exp(S - lse) again, block by block, when backward
//           needs it: one more product, and nothing of size T x T. Register tiles do all seven products.
// Gain      10 and more per thread: the tiles and vectors of rungs 4 and 6; the recomputation costs a sixth of it.
// Limit     As rung 6; the arithmetic of the recomputation is not counted, so the rate shows its price.
#include <vector>

#include "kernels/attention.hpp"
#include "kernels/ladder/attention/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void backward_recomputed(ExecContext& ctx, const AttentionCall& c) {
  const Index rows = c.heads * c.time, D = c.size;
  const AttentionShape shape = {.batch = c.heads, .time = c.time, .heads = 1, .head_size = D};
  const ConstMatrixRef q(c.q, rows, D), k(c.k, rows, D), v(c.v, rows, D), d_out(c.d_out, rows, D);
  const MatrixRef out(c.out, rows, D), d_q(c.d_q, rows, D), d_k(c.d_k, rows, D), d_v(c.d_v, rows, D);
  std::vector<float> lse(static_cast<std::size_t>(rows));
  attention_forward(ctx, out, lse.data(), q, k, v, shape);
  attention_backward(ctx, d_q, d_k, d_v, d_out, q, k, v, out, lse.data(), shape);
}

}  // namespace

const AttentionRung kBackwardRecomputed = {
    .info = {.number = 8,
             .name = "backward-recomputed",
             .idea = "P again from one number per row, block by block: the library's forward and backward",
             .gain = 10,
             .why = "tiles and vectors, times the threads; recomputation costs a sixth of it",
             .threads = true,
             .work = 3},
    .run = backward_recomputed,
};

}  // namespace loglog::kernels::ladder
