#include "kernels/rowwise/softmax.hpp"

#include "kernels/profile.hpp"
#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {

void softmax_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef in, float scale) {
  const Timed timed(ctx, KernelFamily::loss);
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  LOGLOG_CHECK(scale > 0.0f && scale < 0x1p127f, "scale is {}, wanted above 0 and below 2^127", scale);
  const Stores stores = stores_for(out, in.data);
  const WaitingRows waiting(ctx, stores, in.cols);
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n, int thread) {
    ctx.kernels.rowwise->softmax_forward(rows_of(out, r, n), rows_of(in, r, n), scale, stores,
                                         waiting.of(thread));
  });
}

void softmax_backward(ExecContext& ctx, MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef out,
                      float scale) {
  const Timed timed(ctx, KernelFamily::loss);
  check_shape("d_in", d_in, out.rows, out.cols);
  check_shape("d_out", d_out, out.rows, out.cols);
  check_shape("out", out, out.rows, out.cols);
  const Stores stores = stores_for(d_in, d_out.data, out.data);
  for_pieces(ctx, out.rows, out.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->softmax_backward(rows_of(d_in, r, n), rows_of(d_out, r, n), rows_of(out, r, n),
                                          scale, stores);
  });
}

}  // namespace loglog::kernels
