// Product of bfloat16 matrices with float32 sums and the epilogues of gemm.hpp.
//
//   C[M,N] = op(A[M,K] * B[K,N])          Accumulate::no
//   C[M,N] = C + A[M,K] * B[K,N]          Accumulate::yes, which no epilogue can be combined with
#pragma once
#include "kernels/bf16.hpp"
#include "kernels/exec.hpp"
#include "kernels/gemm.hpp"
#include "kernels/matrix.hpp"
#include "kernels/packed_matrix.hpp"

namespace loglog::kernels {

using ConstMatrixBf16 = ConstMatrix<bf16>;

// Types      c is float32 or, where nothing is accumulated, bfloat16: then each element is rounded once, after its epilogue.
// Shapes     a (M,K), b (K,N), c (M,N). Any of them may be 0; K == 0 multiplies nothing and still runs the epilogue.
// Strides    in elements. Pass transposed() for a transposed operand; nothing is copied beyond the packing.
// Alignment  none required.
// Aliasing   as in gemm.hpp.
// Reads      only elements inside the shapes; with Accumulate::no, c may hold NaN on entry.
// Rounding   the bound of gemm.hpp, and 2^-8 |C| for a c of bfloat16. Only sums round: a product of two bfloat16 is exact in float32 unless it overflows
//            or is below 2^-126. An ISA with GemmBf16::subnormals flushed computes as if elements below 2^-126 were 0, and
//            the bound has K * 2^-126 in place of K * 2^-149; what it would write below 2^-126 as bfloat16 may be 0.
// Order      K ascending, the same for every element of a table, whatever M, N and ctx.threads are; but split-K as in gemm.hpp
//            where A is transposed, C float32, B not packed and there is no epilogue: the most splits up to S that have one length, a
//            multiple of 64, each summed from 0; C, or the first of them, takes the others in ascending order.
// Errors     as in gemm.hpp, and ContractError if b was packed for another layout.
void gemm_bf16(ExecContext& ctx, ConstMatrixBf16 a, ConstMatrixBf16 b, const FloatMatrix& c,
               Accumulate accumulate = Accumulate::no, const GemmEpilogue& epilogue = {});
void gemm_bf16(ExecContext& ctx, ConstMatrixBf16 a, const PackedMatrix<bf16>& b, const FloatMatrix& c,
               Accumulate accumulate = Accumulate::no, const GemmEpilogue& epilogue = {});

// As gemm_batched in gemm.hpp.
void gemm_bf16_batched(ExecContext& ctx, const GemmBatch& batch, ConstMatrixBf16 a, ConstMatrixBf16 b,
                       MatrixRef c, Accumulate accumulate = Accumulate::no);

// Bytes that gemm_bf16 takes from ctx.scratch for these sizes, with a b that is a matrix or a PackedMatrix and a c of
// that type; and gemm_bf16_batched for so many products of them.
std::size_t gemm_bf16_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                    Weights b = Weights::plain, FloatType c = FloatType::float32,
                                    LeftFactor a = LeftFactor::transposed);
std::size_t gemm_bf16_batched_scratch_bytes(const KernelTable& table, int threads, Index count, Index m,
                                            Index n, Index k);

}  // namespace loglog::kernels
