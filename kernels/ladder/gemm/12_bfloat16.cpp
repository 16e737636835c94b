// Rung 12: bfloat16.
//
// Idea      Half the bytes: A and B are rounded to bfloat16, the upper half of a float; products are exact and sums are
//           float32. An instruction of the CPU may multiply pairs at once (VDPBF16PS, BFMMLA); tiles are the next rung.
// Gain      2 with VDPBF16PS on a core that runs it at full rate; 1 where halves are widened to floats.
// Limit     Without such an instruction each half has to be widened first. The rounding of A and B is counted: O(MK + KN).
#include "kernels/isa.hpp"
#include "kernels/ladder/gemm/bfloat16.hpp"
#include "kernels/ladder/gemm/rungs.hpp"
#include "kernels/ladder/ladder.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels::ladder {
namespace {

void bfloat16(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  const bool has_tiles = missing(kTiles.info, ctx.kernels).empty();
  ExecContext without = {has_tiles ? select_table(ctx.kernels.float32) : ctx.kernels, ctx.threads,
                         ctx.scratch};
  multiply_rounded(without, m, n, k, a, b, c);
}

}  // namespace

const GemmRung kBfloat16 = {
    .info = {.number = 12,
             .name = "bfloat16",
             .idea = "operands of half the size, sums in float32",
             .gain = 1,
             .why = "2 with VDPBF16PS at full rate, 1 where halves are widened to floats",
             .loss = "rounding the operands is counted, and this CPU's multiply-add of floats is as fast",
             .threads = true,
             .operand_error = 0x1p-8},
    .run = bfloat16,
};

}  // namespace loglog::kernels::ladder
