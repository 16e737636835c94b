// Matrices from float32 to bfloat16 and back; of one type they are copied.
//
// Shapes     out and in (R,C). R and C may be 0.
// Strides    rows: any; columns: 1.
// Alignment  none required; rows of out on 64-byte boundaries are faster.
// Aliasing   none.
// Reads      only elements inside the shapes.
// Rounding   to bfloat16: nearest, ties to even, the bits of to_bf16 (bf16.hpp), subnormals kept; to float32: exact. A
//            NaN keeps its sign and the upper bits of its payload; narrowing makes it quiet.
// Order      none: no sums.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap or ctx.threads is below 1.
#pragma once
#include "kernels/bf16.hpp"
#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"

namespace loglog::kernels {

void convert(ExecContext& ctx, const FloatMatrix& out, const ConstFloatMatrix& in);

}  // namespace loglog::kernels
