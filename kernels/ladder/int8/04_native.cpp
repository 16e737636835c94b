// Rung 4: the instruction made for it.
//
// Idea      VPDPBUSD multiplies four bytes with four bytes and adds all to an int32. One factor has to be unsigned: B is packed
//           as B + 128, and 128 times the row sums of A is taken off, modulo 2^32. (AMX, SDOT and SMMLA take both signed.)
// Gain      2: four products per lane instead of two, and no widening.
// Limit     Quantising: it reads both operands twice, element by element, and costs O(MK + KN).
#include "kernels/ladder/int8/product.hpp"
#include "kernels/ladder/int8/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

void native(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  ExecContext one_thread = {ctx.kernels, 1, ctx.scratch};
  multiply_quantised(one_thread, m, n, k, quantise_rows(a, m, k), quantise_columns(b, k, n), c);
}

}  // namespace

const Int8Rung kNative = {
    .info = {.number = 4,
             .name = "native",
             .idea = "four products of bytes per lane in one instruction (VNNI, SDOT), or a tile of them "
                     "(AMX, SMMLA)",
             .gain = 2,
             .why = "four products per lane instead of two, and nothing is widened",
             .loss = "quantising takes the time",
             .needs = "avx512_vnni avx_vnni amx neon_dotprod neon_i8mm"},
    .run = native,
};

}  // namespace loglog::kernels::ladder
