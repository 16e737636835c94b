#include "kernels/rowwise/cross_entropy.hpp"

#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {

void cross_entropy_forward(ExecContext& ctx, float* losses, ConstMatrixRef logits, const Token* targets) {
  cross_entropy_forward_backward(ctx, losses, {}, logits, targets, 0.0f);
}

void cross_entropy_forward_backward(ExecContext& ctx, float* losses, MatrixRef d_logits,
                                    ConstMatrixRef logits, const Token* targets, float scale) {
  const bool wants_gradient = d_logits.data != nullptr;
  if (wants_gradient) check_shape("d_logits", d_logits, logits.rows, logits.cols);
  check_shape("logits", logits, logits.rows, logits.cols);
  LOGLOG_CHECK(logits.cols >= 1, "logits have {} columns", logits.cols);
  check_tokens(targets, logits.rows, logits.cols, true);
  const Stores stores = wants_gradient ? stores_for(d_logits, logits.data) : Stores::cached;
  const WaitingRows waiting(ctx, stores, logits.cols);
  for_pieces(ctx, logits.rows, logits.cols, [&](Index r, Index n, int thread) {
    ctx.kernels.rowwise->cross_entropy(losses + r, wants_gradient ? rows_of(d_logits, r, n) : MatrixRef{},
                                       rows_of(logits, r, n), targets + r, kIgnoreTarget, scale, stores,
                                       waiting.of(thread));
  });
}

}  // namespace loglog::kernels
