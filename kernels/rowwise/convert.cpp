#include "kernels/rowwise/convert.hpp"

#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {

void convert(ExecContext& ctx, Matrix<bf16> out, ConstMatrix<float> in) {
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  const Stores stores = stores_for(out);
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->narrow(rows_of(out, r, n), rows_of(in, r, n), stores);
  });
}

void convert(ExecContext& ctx, Matrix<float> out, ConstMatrix<bf16> in) {
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  const Stores stores = stores_for(out);
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->widen(rows_of(out, r, n), rows_of(in, r, n), stores);
  });
}

}  // namespace loglog::kernels
