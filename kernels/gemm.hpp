// Single-precision matrix product with fused epilogues.
//
//   C[M,N] = op(A[M,K] * B[K,N])          Accumulate::no; op(x) = gelu(x + bias) + residual, each part optional
//   C[M,N] = C + A[M,K] * B[K,N]          Accumulate::yes, which no epilogue can be combined with
#pragma once
#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

enum class Accumulate : bool { no, yes };

// Applied to a tile while it is hot, in this order. Every member may stay empty.
struct GemmEpilogue {
  const float* bias = nullptr;  // (N), added to every row
  MatrixRef pre_activation;     // (M,N), receives the value before GELU (what gelu_backward wants)
  bool gelu = false;            // tanh form, see rowwise/activation.hpp
  ConstMatrixRef residual;      // (M,N), added last; may be C itself, see below

  bool empty() const {
    return bias == nullptr && pre_activation.data == nullptr && !gelu && residual.data == nullptr;
  }
};

// Shapes     a (M,K), b (K,N), c (M,N). Any of them may be 0; K == 0 multiplies nothing and still runs the epilogue.
// Strides    in elements. Pass transposed() for a transposed operand; nothing is copied beyond the packing.
// Alignment  none required; rows on 64-byte boundaries are faster.
// Aliasing   c and pre_activation overlap nothing else, but c may be the residual: the same first element and row
//            stride, and neither GELU nor pre_activation. a, b, bias and residual are only read and may share memory.
// Reads      only elements inside the shapes; with Accumulate::no, c may hold NaN on entry.
// Rounding   float32 sums: |c - exact| <= (K + 2) * 2^-24 * (|A||B| + |C|)[i,j] + K * 2^-149 before the epilogue, which
//            adds one rounding per part (GELU: see docs/kernels.md), unless a product or a sum of some of them overflows.
//            Derivation: docs/kernels.md.
// Order      K in blocks of a fixed size, ascending; the same for every element, whatever M, N and ctx.threads are.
// Errors     ContractError if shapes disagree, an epilogue is combined with Accumulate::yes, c is its own residual in
//            another way than above, pre_activation starts where c or the residual does, threads < 1, or scratch is
//            too small. Other overlaps are not looked for.
void gemm(ExecContext& ctx, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c,
          Accumulate accumulate = Accumulate::no, const GemmEpilogue& epilogue = {});

// Bytes that gemm takes from ctx.scratch for these sizes.
std::size_t gemm_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k) noexcept;

}  // namespace loglog::kernels
