#include "kernels/rowwise/embedding.hpp"

#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {
namespace {

void check_time(Index time) {
  LOGLOG_CHECK(time >= 1, "time is {}: row r has position r % time", time);
}

}  // namespace

void embedding_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef token_table,
                       ConstMatrixRef position_table, const Token* tokens, Index time) {
  check_shape("out", out, out.rows, out.cols);
  check_shape("token_table", token_table, token_table.rows, out.cols);
  check_time(time);
  check_shape("position_table", position_table, time, out.cols);
  check_tokens(tokens, out.rows, token_table.rows, false);
  for_pieces(ctx, out.rows, out.cols, [&](Index first, Index count) {
    for (Index r = first; r < first + count; ++r) {
      ctx.kernels.rowwise->add(rows_of(out, r, 1), rows_of(token_table, tokens[r], 1),
                               rows_of(position_table, r % time, 1), Stores::cached);
    }
  });
}

void embedding_backward(ExecContext& ctx, MatrixRef d_token_table, MatrixRef d_position_table,
                        ConstMatrixRef d_out, const Token* tokens, Index time) {
  check_shape("d_token_table", d_token_table, d_token_table.rows, d_out.cols);
  check_time(time);
  check_shape("d_position_table", d_position_table, time, d_out.cols);
  check_shape("d_out", d_out, d_out.rows, d_out.cols);
  check_tokens(tokens, d_out.rows, d_token_table.rows, false);
  // Two rows may have the same token, so threads share the columns: each goes over all rows in order.
  constexpr Index kColumns = kCacheLineBytes / sizeof(float);
  const Index column_blocks = ceil_div(d_out.cols, kColumns);
  for_pieces(ctx, column_blocks, kColumns * d_out.rows, [&](Index first, Index count) {
    const Index col = first * kColumns, cols = std::min(count * kColumns, d_out.cols - col);
    for (Index r = 0; r < d_out.rows; ++r) {
      const MatrixRef token_row = rows_of(d_token_table, tokens[r], 1).columns(col, cols);
      const MatrixRef position_row = rows_of(d_position_table, r % time, 1).columns(col, cols);
      const ConstMatrixRef gradient(d_out.row(r) + col, 1, cols, d_out.row_stride);
      ctx.kernels.rowwise->add(token_row, token_row, gradient, Stores::cached);
      ctx.kernels.rowwise->add(position_row, position_row, gradient, Stores::cached);
    }
  });
}

}  // namespace loglog::kernels
