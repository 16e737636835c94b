// Activations, alone and as the gate of another matrix (Shazeer 2020, "GLU variants improve transformer").
//
//   identity   for epilogues of products alone
//   relu   max(x, 0); its derivative at 0 is 0
//   gelu   tanh form (Hendrycks & Gimpel 2016, eq. 2): 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
//   silu   x / (1 + e^-x)
//   gelu_erf   x Phi(x), Phi the normal distribution: what the tanh form is near to (there, section 2)
//
// Shapes     every matrix (R,C). R and C may be 0.
// Types      each matrix float32 or bfloat16; computed in float32, a bfloat16 result rounded once.
// Strides    rows: any; columns: 1. gate and up may be the halves of one matrix.
// Alignment  none required; rows of outputs on 64-byte boundaries are faster.
// Aliasing   an output may be any input, element on element; two outputs are apart.
// Reads      only elements inside the shapes.
// Rounding   docs/kernels.md, "Row kernels". NaN gives NaN.
// Order      none: no sums.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap or ctx.threads is below
//            1 or, with bfloat16, scratch (rowwise_scratch_bytes) is too small.
#pragma once
#include "kernels/activations.hpp"
#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"

namespace loglog::kernels {

// out = act(in)
void activation_forward(ExecContext& ctx, Activation act, const FloatMatrix& out, const ConstFloatMatrix& in);
// d_in = d_out * act'(in), in = the value before the activation.
void activation_backward(ExecContext& ctx, Activation act, const FloatMatrix& d_in,
                         const ConstFloatMatrix& d_out, const ConstFloatMatrix& in);

// out = act(gate) * up: ReGLU, GeGLU, SwiGLU.
void gated_forward(ExecContext& ctx, Activation act, const FloatMatrix& out, const ConstFloatMatrix& gate,
                   const ConstFloatMatrix& up);
// d_gate = d_out * up * act'(gate), d_up = d_out * act(gate).
void gated_backward(ExecContext& ctx, Activation act, const FloatMatrix& d_gate, const FloatMatrix& d_up,
                    const ConstFloatMatrix& d_out, const ConstFloatMatrix& gate, const ConstFloatMatrix& up);

}  // namespace loglog::kernels
