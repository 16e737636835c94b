// Normalisation of rows: LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019).
//
// Shapes     out, in, d_out, d_in (R,C); gain, bias (C); mean, rstd (R). R and C may be 0: a row of no columns has no
//            mean, so with C == 0 nothing is written, mean and rstd neither.
// Types      each matrix float32 or bfloat16; computed in float32, a bfloat16 result rounded once.
// Strides    rows: any; columns: 1.
// Alignment  none required; rows of out on 64-byte boundaries are faster.
// Aliasing   out may be in; d_in may be d_out, but not the residual.
// Reads      only elements inside the shapes.
// Rounding   docs/kernels.md, "Row kernels". Squares above the largest float make rstd 0.
// Order      sums inside a row: fixed by C. Gradients of gain and bias: 64 rows at a time, ascending. No bit depends on
//            ctx.threads, nor on the rows beside one.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap, ctx.threads is below 1 or
//            scratch (rowwise_scratch_bytes) is too small.
//
// Gradients: of gain and bias accumulate (+=), of in overwrite (=), a residual (R,C) added to it where there is one: it joins the
// stream that the norm reads.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"

namespace loglog::kernels {

// out[r,:] = (in[r,:] - mean[r]) * rstd[r] * gain + bias, rstd = 1 / sqrt(var + epsilon), var with 1/C. bias may be
// null; mean and rstd are outputs that backward reads.
void layernorm_forward(ExecContext& ctx, const FloatMatrix& out, float* mean, float* rstd,
                       const ConstFloatMatrix& in, const float* gain, const float* bias, float epsilon);
// d_bias is null when the layer has none.
void layernorm_backward(ExecContext& ctx, const FloatMatrix& d_in, float* d_gain, float* d_bias,
                        const ConstFloatMatrix& d_out, const ConstFloatMatrix& in, const float* mean,
                        const float* rstd, const float* gain, ConstMatrixRef residual = {});

// out[r,:] = in[r,:] * rstd[r] * gain, rstd = 1 / sqrt(mean of in[r,:]^2 + epsilon), an output that backward reads.
void rmsnorm_forward(ExecContext& ctx, const FloatMatrix& out, float* rstd, const ConstFloatMatrix& in,
                     const float* gain, float epsilon);
void rmsnorm_backward(ExecContext& ctx, const FloatMatrix& d_in, float* d_gain, const ConstFloatMatrix& d_out,
                      const ConstFloatMatrix& in, const float* rstd, const float* gain,
                      ConstMatrixRef residual = {});

}  // namespace loglog::kernels
