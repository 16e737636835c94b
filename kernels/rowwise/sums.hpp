// Additions: element by element, over rows, and of squares.
//
// Shapes     as written at each function: (R,C) are matrices with R rows. R and C may be 0.
// Strides    rows: any; columns: 1.
// Alignment  none required; rows on 64-byte boundaries are faster.
// Aliasing   outputs overlap inputs only where a function says so.
// Reads      only elements inside the shapes.
// Rounding   u = 2^-24. add: u |out|. column_sums: (R + 1) u times the sum of absolute values. sum_of_squares: float64.
// Order      of sums over rows: 64 rows at a time, ascending; of squares: 2^14 elements at a time. No bit depends on
//            ctx.threads.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap, ctx.threads is below 1 or
//            scratch is too small.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"

namespace loglog::kernels {

// x (n) = 0: where gradients, which accumulate, begin.
void zero(ExecContext& ctx, float* x, Index n);

// out = a + b, all (R,C). out may be a or b.
void add(ExecContext& ctx, MatrixRef out, ConstMatrixRef a, ConstMatrixRef b);

// out (C) += sum over rows of in (R,C), float32 or bfloat16: the gradient of a bias.
void column_sums(ExecContext& ctx, float* out, const ConstFloatMatrix& in);

// Sum of squares of n elements in float64, for the global gradient norm. NaN and infinity propagate.
double sum_of_squares(ExecContext& ctx, const float* x, Index n);

// Bytes that sum_of_squares takes from ctx.scratch.
std::size_t sum_of_squares_scratch_bytes(Index n) noexcept;

// Bytes that any other function of this folder takes from ctx.scratch for matrices of at most (rows, cols).
std::size_t rowwise_scratch_bytes(const KernelTable& table, int threads, Index rows, Index cols) noexcept;

}  // namespace loglog::kernels
