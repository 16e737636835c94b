// One step of Adafactor (Shazeer & Stern 2018, algorithms 4 and 5, without first moment) on one tensor.
//
//   G = grad * grad_scale;  S = G^2 + epsilon
//   row = beta2 row + (1 - beta2) mean over columns of S;  col likewise over rows
//   V = row col' / mean(row)              of a vector: V = beta2 V + (1 - beta2) S
//   U = G / sqrt(V);  U /= max(1, RMS(U) / clip)
//   param -= lr (U + weight_decay param)
//
// The rate is the caller's: the paper's relative steps and its scale of the parameter are schedules like others.
//
// Shapes     param, grad (R,C), row (R), col (C); R and C at least 1. A vector is (1,C): its col is V, row is not touched and may
//            be null.
// Strides    rows: any; columns: 1.
// Alignment  none required.
// Aliasing   none.
// Reads      only elements inside the shapes.
// Rounding   of V: (R + C + 8) u V and, from step to step, u V more; of one update: lr ((R + C + 20) u |U| + 3 u weight_decay |param|)
//            + u |param|, u = 2^-24.
// Order      sums over rows: 64 rows at a time, ascending; over columns: ascending. No bit depends on ctx.threads.
// Errors     ContractError if shapes disagree, a size is below 1, rows of param overlap, a moment is null, ctx.threads is below 1 or
//            scratch (rowwise_scratch_bytes) is too small.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

struct AdafactorStep {
  float lr = 0.0f;
  float beta2 = 0.0f;  // of this step; 1 - step^-0.8 in the paper, 0 in the first
  float epsilon = 1e-30f;
  float clip = 1.0f;  // largest root mean square of U
  float weight_decay = 0.0f;
  float grad_scale = 1.0f;
};
void adafactor(ExecContext& ctx, MatrixRef param, ConstMatrixRef grad, float* row, float* col,
               const AdafactorStep& step);

}  // namespace loglog::kernels
