// Rung 6: the library's own kernel, kernels/attention.cpp.
//
// Idea      Scores and values as matrix products: 4 or 8 queries at a time in a register tile, K and V packed for 128 queries
//           and 256 keys at a time.
// Gain      3: each vector of K and V is used for all queries of the tile, and the chains hide the latency.
// Limit     Softmax between the two products, and the triangle on the diagonal.
#include "kernels/attention.hpp"

#include <vector>

#include "kernels/ladder/attention/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void attention_library(ExecContext& ctx, const AttentionCall& c) {
  const Index rows = c.heads * c.time, D = c.size;
  std::vector<float> lse(static_cast<std::size_t>(rows));
  const ConstMatrixRef q(c.q, rows, D), k(c.k, rows, D), v(c.v, rows, D);
  const AttentionShape shape = {.batch = c.heads, .time = c.time, .heads = 1, .head_size = D};
  attention_forward(ctx, MatrixRef(c.out, rows, D), lse.data(), q, k, v, shape);
}

}  // namespace

const AttentionRung kAttentionLibrary = {
    .info = {.number = 6,
             .name = "library",
             .idea = "loglog's own attention: register tiles of several queries, K and V packed",
             .gain = 3,
             .why = "each load of K and V serves 4 or 8 queries",
             .loss = "the sequence is too short to pay for packing",
             .threads = true},
    .run = attention_library,
};

}  // namespace loglog::kernels::ladder
