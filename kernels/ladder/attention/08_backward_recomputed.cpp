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
  const AttentionShape shape = {c.heads, c.time, 1, D};
  const ConstMatrixRef q(c.q, rows, D), k(c.k, rows, D), v(c.v, rows, D);
  const MatrixRef out(c.out, rows, D);
  std::vector<float> lse(static_cast<std::size_t>(rows));
  attention_forward(ctx, out, lse.data(), q, k, v, shape);
  attention_backward(ctx, {c.d_q, rows, D}, {c.d_k, rows, D}, {c.d_v, rows, D}, {c.d_out, rows, D}, q, k, v,
                     out, lse.data(), shape);
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
