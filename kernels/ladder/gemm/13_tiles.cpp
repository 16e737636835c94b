// Rung 13: tiles in registers of their own.
//
// Idea      AMX: eight registers of 16 rows of 64 bytes. TDPBF16PS multiplies 16 x 32 by 32 x 16 halves and adds to 16 x 16
//           floats: 8,192 multiply-adds in 16 cycles. Four tiles of sums, two of A, two of B.
// Gain      16 times the multiply-adds per cycle, half of it lost to feeding them, and half of what is left to
//           rounding and packing: 4.
// Limit     Feeding it. A tile of operands is a kibibyte, used twice; packing, rounding and memory show as never before.
#include "kernels/ladder/gemm/bfloat16.hpp"
#include "kernels/ladder/gemm/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void tiles(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  multiply_rounded(ctx, m, n, k, a, b, c);
}

}  // namespace

const GemmRung kTiles = {
    .info = {.number = 13,
             .name = "tiles",
             .idea = "AMX: 16 x 32 by 32 x 16 halves in one instruction",
             .gain = 4,
             .why = "16 times the multiply-adds per cycle; feeding, rounding and packing take three quarters",
             .loss = "the product is so small that rounding and packing take the time",
             .needs = "amx",
             .threads = true,
             .operand_error = 0x1p-8},
    .run = tiles,
};

}  // namespace loglog::kernels::ladder
