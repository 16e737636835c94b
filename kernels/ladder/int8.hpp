// The ladder of the int8 product: quantise, multiply whole numbers, scale back.
//
//   C[M,N] = A[M,K] * B[K,N]
#pragma once
#include <vector>

#include "kernels/exec.hpp"
#include "kernels/int8.hpp"
#include "kernels/ladder/rung.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels::ladder {

// Shapes     a (M,K), b (K,N), c (M,N). Any of them may be 0; K == 0 writes zeros. K <= kInt8MaxDepth.
// Strides    none: row by row without gaps.
// Alignment  none required.
// Aliasing   c overlaps neither a nor b.
// Reads      only elements inside the shapes, all finite; c may hold NaN on entry.
// Rounding   with SA, SB the largest |A|, |B| over 127: a rounded element is off by at most half of its scale, hence
//            |c - exact| <= sum over p of (|A| SB + |B| SA + SA SB / 2)[i,p,j] / 2 (1 + (K + 6) 2^-16). Finer scales do better. Where A
//            and B are whole numbers and every scale is 1, C is exact (the rung that takes outliers out: and none of them is
//            in -6..6 but 0).
// Order      of no consequence: sums of whole numbers.
// Errors     none; ctx.scratch has int8_scratch() bytes. Memory that a rung takes beside it may throw std::bad_alloc.
using Int8Run = void(ExecContext& ctx, Index m, Index n, Index k, const float* a, const float* b, float* c);
// The same of a B that was quantised before the clock runs, as the weights of a model are.
using Int8WeightsRun = void(ExecContext& ctx, Index m, const float* a, const Int8Weights& b, float* c);

struct Int8Rung {
  RungInfo info;
  Int8Run* run = nullptr;
  Int8WeightsRun* run_with_weights = nullptr;  // one of the two
};

std::vector<Int8Rung> int8_rungs(const KernelTable& table);
std::size_t int8_scratch(const KernelTable& table, int threads, Index m, Index n, Index k);

}  // namespace loglog::kernels::ladder
