// Rung 12: bfloat16.
//
// Idea      Half the bytes: A and B are rounded to bfloat16, the upper half of a float; products are exact and sums are
//           float32. An instruction of the CPU may multiply pairs (VDPBF16PS) or whole tiles (AMX) at once.
// Gain      2 with VDPBF16PS on a core that runs it at full rate, 8 and more with AMX; 1 where halves are widened to floats.
// Limit     Without such an instruction each half has to be widened first. The rounding of A and B is counted: O(MK + KN).
#include <vector>

#include "kernels/gemm_bf16.hpp"
#include "kernels/ladder/gemm/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

std::vector<bf16> rounded(const float* x, Index count) {
  std::vector<bf16> halves(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) halves[static_cast<std::size_t>(i)] = to_bf16(x[i]);
  return halves;
}

void bfloat16(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  const std::vector<bf16> a_halves = rounded(a, m * k), b_halves = rounded(b, k * n);
  gemm_bf16(ctx, {a_halves.data(), m, k}, {b_halves.data(), k, n}, {c, m, n});
}

}  // namespace

const GemmRung kBfloat16 = {
    .info = {.number = 12,
             .name = "bfloat16",
             .idea = "operands of half the size, sums in float32",
             .gain = 1,
             .why = "2 with VDPBF16PS at full rate, 8 with AMX, 1 where halves are widened to floats",
             .loss = "rounding the operands is counted, and this CPU's multiply-add of floats is as fast",
             .threads = true,
             .operand_error = 0x1p-8},
    .run = bfloat16,
};

}  // namespace loglog::kernels::ladder
