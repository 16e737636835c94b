#include "kernels/rowwise/cross_entropy.hpp"

#include "kernels/profile.hpp"
#include "kernels/rowwise/float_operands.hpp"

namespace loglog::kernels {

void cross_entropy_forward(ExecContext& ctx, float* losses, ConstMatrixRef logits, const Token* targets) {
  const Timed timed(ctx, KernelFamily::loss);
  cross_entropy_forward_backward(ctx, losses, {}, logits, targets, 0.0f);
}

void cross_entropy_forward_backward(ExecContext& ctx, float* losses, const FloatMatrix& d_logits,
                                    ConstMatrixRef logits, const Token* targets, float scale,
                                    float z_weight) {
  const Timed timed(ctx, KernelFamily::loss);
  const bool wants_gradient = d_logits.data != nullptr;
  if (wants_gradient) check_shape("d_logits", d_logits, logits.rows, logits.cols);
  check_shape("logits", logits, logits.rows, logits.cols);
  LOGLOG_CHECK(z_weight >= 0 && z_weight <= 1, "z_weight is {}", z_weight);
  LOGLOG_CHECK(logits.cols >= 1, "logits have {} columns", logits.cols);
  check_tokens(targets, logits.rows, logits.cols, true);
  const auto tile = ctx.kernels.rowwise->cross_entropy;
  if (!wants_gradient) {
    return for_pieces(ctx, logits.rows, logits.cols, [&](Index r, Index n) {
      tile(losses + r, {}, rows_of(logits, r, n), targets + r, kIgnoreTarget, scale, 0.0f, Stores::cached,
           nullptr);
    });
  }
  const WaitingRows waiting(ctx, stores_for(d_logits, logits.data), logits.cols);
  const FloatOperands<1, 1> operands(ctx, {d_logits}, {logits});
  for_pieces(ctx, logits.rows, logits.cols, [&](Index first, Index count, int thread) {
    operands.run(first, count, thread, [&](Index r, Index, const auto& dx, const auto& x, Stores stores) {
      tile(losses + r, dx[0], x[0], targets + r, kIgnoreTarget, scale, z_weight, stores, waiting.of(thread));
    });
  });
}

}  // namespace loglog::kernels
