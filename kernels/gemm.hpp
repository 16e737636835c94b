// Single-precision matrix product with fused epilogues.
//
//   C[M,N] = op(A[M,K] * B[K,N])          Accumulate::no; op(x) = factor act(x + bias) + residual, each part optional
//   C[M,N] = C + A[M,K] * B[K,N]          Accumulate::yes, which no epilogue can be combined with
#pragma once
#include "kernels/activations.hpp"
#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"
#include "kernels/matrix.hpp"
#include "kernels/packed_matrix.hpp"

namespace loglog::kernels {

enum class Accumulate : bool { no, yes };

// Applied to a tile while it is hot, in this order. Every member may stay empty.
struct GemmEpilogue {
  const float* bias = nullptr;  // (N), added to every row
  Activation activation = Activation::identity;
  FloatMatrix slope;  // (M,N), of C's type, receives act'(x + bias): the factor of a product that goes back
  ConstFloatMatrix factor;  // (M,N), of C's type
  ConstMatrixRef residual;  // (M,N), added last; may be C itself, see below

  bool empty() const {
    return bias == nullptr && activation == Activation::identity && slope.data == nullptr &&
           factor.data == nullptr && residual.data == nullptr;
  }
};

// Shapes     a (M,K), b (K,N), c (M,N). Any of them may be 0; K == 0 multiplies nothing and still runs the epilogue.
// Strides    in elements. Pass transposed() for a transposed operand; nothing is copied beyond the packing.
// Alignment  none required; rows on 64-byte boundaries are faster.
// Aliasing   c and slope overlap nothing else, but c may be the residual: the same first element and row stride, and neither
//            activation nor slope nor factor. a, b, bias, factor and residual are only read and may share memory.
// Reads      only elements inside the shapes; with Accumulate::no, c may hold NaN on entry.
// Rounding   float32 sums: |c - exact| <= (K + 2) * 2^-24 * (|A||B| + |C|)[i,j] + K * 2^-149 before the epilogue, which
//            adds one rounding per part (activations: see docs/kernels.md), unless a product or a sum of some of them overflows.
//            Derivation: docs/kernels.md.
// Order      K in blocks of 256, ascending; the same for every element, whatever M, N and ctx.threads are. Of a transposed A (row
//            stride 1, column stride not: a gradient of weights) with M N <= 2^20, S = min(K / 2048, M N K / 2^20, 8) splits of K
//            ("split-K"): of its B blocks split s has [s B / S, (s + 1) B / S), blocks ascending, then splits ascending; so there
//            M and N count too, ctx.threads never.
// Errors     ContractError if shapes or, of slope, factor and c, types disagree, a size is below 0, rows of c or of slope overlap
//            (a row stride below N), an epilogue is combined with Accumulate::yes, c is its own residual in another way than
//            above, c starts where slope or factor does, slope where factor or the residual does, threads < 1, scratch is too
//            small, or b was packed for another layout. Other overlaps are not looked for.
void gemm(ExecContext& ctx, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c,
          Accumulate accumulate = Accumulate::no, const GemmEpilogue& epilogue = {});
// With weights that were packed before: the same bits. Few rows of A read them at the speed of memory.
void gemm(ExecContext& ctx, ConstMatrixRef a, const PackedMatrix<float>& b, MatrixRef c,
          Accumulate accumulate = Accumulate::no, const GemmEpilogue& epilogue = {});

// Products of one shape whose operands lie at equal distances: heads of attention, experts. Steps in elements from one
// product to the next; 0 for an a or b that all of them share.
struct GemmBatch {
  Index count = 1;
  Index a_step = 0, b_step = 0, c_step = 0;
};

// As `count` calls of gemm, with the same bits unless those split K (Order), which several products never do. Threads share the
// products or, where these are few, their parts. a, b, c are the first product's; the matrices of c do not overlap (ContractError
// for a c_step within a row).
void gemm_batched(ExecContext& ctx, const GemmBatch& batch, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c,
                  Accumulate accumulate = Accumulate::no);

// Whether a transposed A may come (Order); enough for both is what a transposed one takes.
enum class LeftFactor : bool { as_it_is, transposed };

// Bytes that gemm and gemm_batched take at most from ctx.scratch for these sizes, with a b that is a matrix or a PackedMatrix.
std::size_t gemm_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                               Weights b = Weights::plain, LeftFactor a = LeftFactor::transposed) noexcept;

}  // namespace loglog::kernels
