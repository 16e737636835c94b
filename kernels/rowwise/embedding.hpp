// Rows of tables: tokens and their positions.
//
// Shapes     out, d_out (R,C); token_table (V,C); position_table (P,C) or without data: none; tokens and,
//            where there is a table for them, positions (R). R, C and V may be 0.
// Strides    rows: any; columns: 1.
// Alignment  none required.
// Aliasing   none.
// Reads      only elements inside the shapes.
// Rounding   forward: u |out|, u = 2^-24. Backward: one rounding per row that is added.
// Order      gradients: one chain over the rows in ascending order. No bit depends on ctx.threads.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap, a token is outside the
//            vocabulary, a position outside its table or ctx.threads below 1.
//
// Gradients accumulate (+=): the tables are parameters.
#pragma once
#include <cstdint>

#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"
#include "kernels/rowwise/token.hpp"

namespace loglog::kernels {

// out[r,:] = token_table[tokens[r],:] + position_table[positions[r],:]
void embedding_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef token_table,
                       ConstMatrixRef position_table, const Token* tokens, const std::int32_t* positions);
// d_token_table[tokens[r],:] += d_out[r,:]; d_position_table[positions[r],:] += d_out[r,:].
void embedding_backward(ExecContext& ctx, MatrixRef d_token_table, MatrixRef d_position_table,
                        ConstMatrixRef d_out, const Token* tokens, const std::int32_t* positions);

}  // namespace loglog::kernels
