// Product of int8 matrices with int32 sums.
//
//   C[M,N] =     A[M,K] * B[K,N]          Accumulate::no
//   C[M,N] = C + A[M,K] * B[K,N]          Accumulate::yes
#pragma once
#include <cstdint>

#include "kernels/exec.hpp"
#include "kernels/gemm.hpp"
#include "kernels/matrix.hpp"
#include "kernels/packed_matrix.hpp"

namespace loglog::kernels {

using ConstMatrixS8 = ConstMatrix<std::int8_t>;
using MatrixS32 = Matrix<std::int32_t>;

// The largest K whose sums fit into int32 whatever the values are: K * 2^14 < 2^31.
inline constexpr Index kGemmS8MaxDepth = 131071;

// Shapes     a (M,K), b (K,N), c (M,N). Any of them may be 0; K == 0 adds nothing. K <= kGemmS8MaxDepth.
// Strides    in elements. Pass transposed() for a transposed operand; nothing is copied beyond the packing.
// Alignment  none required.
// Aliasing   c overlaps nothing else. a and b are only read and may share memory.
// Reads      only elements inside the shapes.
// Rounding   none: A * B is exact. With Accumulate::yes, C + A * B is exact where it fits into int32 and correct modulo
//            2^32 elsewhere: a longer sum in parts is right if its end is, wherever it was in between.
// Order      of no consequence.
// Errors     ContractError if shapes disagree, a size is below 0, rows of c overlap, K is too large, threads < 1, scratch
//            is too small, or b was packed for another layout.
void gemm_s8(ExecContext& ctx, ConstMatrixS8 a, ConstMatrixS8 b, MatrixS32 c,
             Accumulate accumulate = Accumulate::no);
void gemm_s8(ExecContext& ctx, ConstMatrixS8 a, const PackedMatrix<std::int8_t>& b, MatrixS32 c,
             Accumulate accumulate = Accumulate::no);

// As gemm_batched in gemm.hpp.
void gemm_s8_batched(ExecContext& ctx, const GemmBatch& batch, ConstMatrixS8 a, ConstMatrixS8 b, MatrixS32 c,
                     Accumulate accumulate = Accumulate::no);

// Bytes that gemm_s8 takes from ctx.scratch for these sizes, with a b that is a matrix or a PackedMatrix; and
// gemm_s8_batched for so many products of them.
std::size_t gemm_s8_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                  Weights b = Weights::plain);
std::size_t gemm_s8_batched_scratch_bytes(const KernelTable& table, int threads, Index count, Index m,
                                          Index n, Index k);

}  // namespace loglog::kernels
