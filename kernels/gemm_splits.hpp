// Split-K, for the drivers gemm_f32.cpp and gemm_bf16.cpp. Where A is transposed, as in gradients of weights, a small C leaves threads
// little to share but K, and every cut of C packs an operand again. So K is split, by shape alone, each split with sums of its own, and
// threads read different parts of A and B. Two threads: float32 of avx512, 96 x 288 x 4096 1.6, 320 x 80 x 4096 1.2 times as
// fast; a whole step of training in bfloat16 on amx, width 256, 1.05 times.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/gemm.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// Parts of K that are summed apart: a question of shape alone.
Index gemm_splits(LeftFactor left, Index m, Index n, Index k) noexcept;

// c = sums of the splits, or c + them, in ascending order; then the epilogue. `sums` has (M,N) after (M,N) without gaps.
void add_splits(ExecContext& ctx, MatrixRef c, Accumulate accumulate, const float* sums, Index splits,
                EpilogueTile tile, const GemmEpilogue& epilogue = {});

}  // namespace loglog::kernels
