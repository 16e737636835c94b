#include "kernels/rowwise/optimizer.hpp"

#include <cmath>

#include "kernels/profile.hpp"
#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {

void adamw(ExecContext& ctx, float* param, float* m, float* v, const float* grad, Index n,
           const AdamWStep& step) {
  const Timed timed(ctx, KernelFamily::optimizer);
  check_count("n", n);
  LOGLOG_CHECK(step.step >= 1, "step is {}, the first update is 1", step.step);
  LOGLOG_CHECK(step.beta1 >= 0.0f && step.beta1 < 1.0f && step.beta2 >= 0.0f && step.beta2 < 1.0f,
               "beta1 is {} and beta2 {}, wanted at least 0 and below 1", step.beta1, step.beta2);
  LOGLOG_CHECK(n == 0 || (m != nullptr && v != nullptr), "{} parameters without a {} moment", n,
               m == nullptr ? "first" : "second");
  const double exponent = static_cast<double>(step.step);
  const AdamWCoefficients coefficients = {
      .lr = step.lr,
      .beta1 = step.beta1,
      .one_minus_beta1 = 1.0f - step.beta1,
      .beta2 = step.beta2,
      .one_minus_beta2 = 1.0f - step.beta2,
      .epsilon = step.epsilon,
      .weight_decay = step.weight_decay,
      .grad_scale = step.grad_scale,
      .correct1 = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(step.beta1), exponent))),
      .correct2 = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(step.beta2), exponent)))};
  for_pieces(ctx, n, 1, [&](Index i, Index count) {
    ctx.kernels.rowwise->adamw(param + i, m + i, v + i, grad + i, count, coefficients);
  });
}

void sgd(ExecContext& ctx, float* param, float* velocity, const float* grad, Index n, const SgdStep& step) {
  const Timed timed(ctx, KernelFamily::optimizer);
  check_count("n", n);
  LOGLOG_CHECK(velocity != nullptr || step.momentum == 0.0f, "momentum is {}, but there is no velocity",
               step.momentum);
  const SgdCoefficients coefficients = {.lr = step.lr,
                                        .momentum = step.momentum,
                                        .weight_decay = step.decoupled ? 0.0f : step.weight_decay,
                                        .keep = step.decoupled ? 1.0f - step.lr * step.weight_decay : 1.0f,
                                        .grad_scale = step.grad_scale};
  const Rowwise& rowwise = *ctx.kernels.rowwise;
  for_pieces(ctx, n, 1, [&](Index i, Index count) {
    if (velocity == nullptr) return rowwise.sgd(param + i, grad + i, count, coefficients);
    const auto update = step.nesterov ? rowwise.sgd_nesterov : rowwise.sgd_momentum;
    update(param + i, velocity + i, grad + i, count, coefficients);
  });
}

}  // namespace loglog::kernels
