// Softmax of rows.
//
// Shapes     every matrix (R,C). R and C may be 0.
// Strides    rows: any; columns: 1.
// Alignment  none required; rows of outputs on 64-byte boundaries are faster.
// Aliasing   out may be in; d_in may be d_out or out.
// Reads      only elements inside the shapes.
// Rounding   docs/kernels.md, "Row kernels". Weights below 2^-126 of the largest are 0: so are those of -infinity (a mask).
//            A row with NaN or +infinity, or of -infinity alone, is NaN throughout.
// Order      sums inside a row: fixed by C. No bit depends on ctx.threads, nor on the rows beside one.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap, forward's scale is not between
//            0 and 2^127, ctx.threads is below 1 or scratch (rowwise_scratch_bytes) is too small.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

// out[r,:] = softmax(scale * in[r,:])
void softmax_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef in, float scale = 1.0f);
// d_in[r,:] = scale * out[r,:] * (d_out[r,:] - sum over j of d_out[r,j] * out[r,j]), out = what forward wrote.
void softmax_backward(ExecContext& ctx, MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef out,
                      float scale = 1.0f);

}  // namespace loglog::kernels
