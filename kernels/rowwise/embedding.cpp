#include "kernels/rowwise/embedding.hpp"

#include "kernels/profile.hpp"
#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {
namespace {

template <class View>
void check_positions(const char* name, const View& table, Index cols, const std::int32_t* positions,
                     Index rows) {
  if (table.data == nullptr) return;
  check_shape(name, table, table.rows, cols);
  for (Index r = 0; r < rows; ++r)
    LOGLOG_CHECK(positions[r] >= 0 && positions[r] < table.rows, "position {} of row {} is outside 0..{}",
                 positions[r], r, table.rows - 1);
}

}  // namespace

void embedding_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef token_table,
                       ConstMatrixRef position_table, const Token* tokens, const std::int32_t* positions) {
  const Timed timed(ctx, KernelFamily::embedding);
  check_shape("out", out, out.rows, out.cols);
  check_shape("token_table", token_table, token_table.rows, out.cols);
  check_positions("position_table", position_table, out.cols, positions, out.rows);
  check_tokens(tokens, out.rows, token_table.rows, false);
  for_pieces(ctx, out.rows, out.cols, [&](Index first, Index count) {
    for (Index r = first; r < first + count; ++r) {
      if (position_table.data == nullptr) {
        std::copy_n(token_table.row(tokens[r]), out.cols, out.row(r));
      } else {
        ctx.kernels.rowwise->add(rows_of(out, r, 1), rows_of(token_table, tokens[r], 1),
                                 rows_of(position_table, positions[r], 1), Stores::cached);
      }
    }
  });
}

void embedding_backward(ExecContext& ctx, MatrixRef d_token_table, MatrixRef d_position_table,
                        ConstMatrixRef d_out, const Token* tokens, const std::int32_t* positions) {
  const Timed timed(ctx, KernelFamily::embedding);
  check_shape("d_token_table", d_token_table, d_token_table.rows, d_out.cols);
  check_positions("d_position_table", d_position_table, d_out.cols, positions, d_out.rows);
  check_shape("d_out", d_out, d_out.rows, d_out.cols);
  check_tokens(tokens, d_out.rows, d_token_table.rows, false);
  // Two rows may have the same token, so threads share the columns: each goes over all rows in order.
  constexpr Index kColumns = kCacheLineBytes / sizeof(float);
  const Index column_blocks = ceil_div(d_out.cols, kColumns);
  for_pieces(ctx, column_blocks, kColumns * d_out.rows, [&](Index first, Index count) {
    const Index col = first * kColumns, cols = std::min(count * kColumns, d_out.cols - col);
    for (Index r = 0; r < d_out.rows; ++r) {
      const MatrixRef token_row = rows_of(d_token_table, tokens[r], 1).columns(col, cols);
      const ConstMatrixRef gradient(d_out.row(r) + col, 1, cols, d_out.row_stride);
      ctx.kernels.rowwise->add(token_row, token_row, gradient, Stores::cached);
      if (d_position_table.data == nullptr) continue;
      const MatrixRef position_row = rows_of(d_position_table, positions[r], 1).columns(col, cols);
      ctx.kernels.rowwise->add(position_row, position_row, gradient, Stores::cached);
    }
  });
}

}  // namespace loglog::kernels
