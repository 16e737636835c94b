// Rung 3: packed operands, widened to int16.
//
// Idea      The register tile of gemm for whole numbers: int8 become int16, pairs of products are added as int32 by one
//           instruction (VPMADDWD on x86, SMULL and SADALP on ARM). Nothing saturates, which VPMADDUBSW on bytes would do.
// Gain      8: packing, tiles and vectors at once, all that took gemm six rungs.
// Limit     Widening: shifts and moves for every vector of B beside the multiplications.
#include "kernels/isa.hpp"
#include "kernels/ladder/int8/product.hpp"
#include "kernels/ladder/int8/rungs.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels::ladder {
namespace {

void widening(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  ExecContext base = {select_table(ctx.kernels.float32), 1, ctx.scratch};  // the ISA without what extends it
  multiply_quantised(base, m, n, k, quantise_rows(a, m, k), quantise_columns(b, k, n), c);
}

}  // namespace

const Int8Rung kWidening = {
    .info = {.number = 3,
             .name = "widening",
             .idea =
                 "packed panels and register tiles; int8 widened to int16, pairs of products added at once",
             .gain = 8,
             .why = "packing, tiles and vectors at once",
             .loss = "few rows use what is packed, or this ISA has no vectors"},
    .run = widening,
};

}  // namespace loglog::kernels::ladder
