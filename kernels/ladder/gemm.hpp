// The ladder of the matrix product: from three loops to the library.
//
//   C[M,N] = A[M,K] * B[K,N]
#pragma once
#include <vector>

#include "kernels/exec.hpp"
#include "kernels/ladder/rung.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels::ladder {

// Shapes     a (M,K), b (K,N), c (M,N). Any of them may be 0; K == 0 writes zeros.
// Strides    none: row by row without gaps, element (i, p) of A is a[i * k + p].
// Alignment  none required.
// Aliasing   c overlaps neither a nor b.
// Reads      only elements inside the shapes; c may hold NaN on entry.
// Rounding   |c - exact| <= (K + 2) * 2^-24 * (|A||B|)[i,j] + K * 2^-149, as in kernels/gemm.hpp; the rungs of bfloat16
//            round their operands first, to a relative error of 2^-8 each.
// Order      K ascending; a row's bits depend neither on M nor on ctx.threads.
// Errors     none; ctx.scratch has gemm_scratch() bytes. Memory that a rung takes beside it may throw std::bad_alloc.
using GemmRun = void(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c);
using GemmRung = Rung<GemmRun>;

// The rungs with this table's vectors, in order.
std::vector<GemmRung> gemm_rungs(const KernelTable& table);

// Bytes of scratch that every rung finds enough.
std::size_t gemm_scratch(const KernelTable& table, int threads, Index m, Index n, Index k);

}  // namespace loglog::kernels::ladder
