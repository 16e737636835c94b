// Activations, alone and as the gate of another matrix (Shazeer 2020, "GLU variants improve transformer").
//
//   relu   max(x, 0); its derivative at 0 is 0
//   gelu   tanh form (Hendrycks & Gimpel 2016, eq. 2): 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
//   silu   x / (1 + e^-x)
//
// Shapes     every matrix (R,C). R and C may be 0.
// Strides    rows: any; columns: 1. gate and up may be the halves of one matrix.
// Alignment  none required; rows of outputs on 64-byte boundaries are faster.
// Aliasing   an output may be any input, element on element; two outputs are apart.
// Reads      only elements inside the shapes.
// Rounding   docs/kernels.md, "Row kernels". NaN gives NaN.
// Order      none: no sums.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap or ctx.threads is below 1.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

enum class Activation : int { relu, gelu, silu };

// out = act(in)
void activation_forward(ExecContext& ctx, Activation act, MatrixRef out, ConstMatrixRef in);
// d_in = d_out * act'(in), in = the value before the activation.
void activation_backward(ExecContext& ctx, Activation act, MatrixRef d_in, ConstMatrixRef d_out,
                         ConstMatrixRef in);

// out = act(gate) * up: ReGLU, GeGLU, SwiGLU.
void gated_forward(ExecContext& ctx, Activation act, MatrixRef out, ConstMatrixRef gate, ConstMatrixRef up);
// d_gate = d_out * up * act'(gate), d_up = d_out * act(gate).
void gated_backward(ExecContext& ctx, Activation act, MatrixRef d_gate, MatrixRef d_up, ConstMatrixRef d_out,
                    ConstMatrixRef gate, ConstMatrixRef up);

}  // namespace loglog::kernels
