// One step of an optimiser on n parameters.
//
// Shapes     param, grad and the moments (n). n may be 0.
// Strides    1.
// Alignment  none required.
// Aliasing   none.
// Reads      only elements inside the shapes.
// Rounding   stated at each function, u = 2^-24; derived in docs/kernels.md, "Row kernels".
// Order      none: no sums.
// Errors     ContractError if n is below 0, step or ctx.threads below 1, a beta is outside [0, 1), or a moment that is
//            needed is null: either of AdamW's, SGD's velocity with a momentum.
#pragma once
#include <cstdint>

#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

// AdamW with decoupled decay (Loshchilov & Hutter 2019, algorithm 2):
//   g = grad * grad_scale;  m = beta1 m + (1-beta1) g;  v = beta2 v + (1-beta2) g^2
//   param -= lr * (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + epsilon) + weight_decay * param)
// With |g| <= g_max in all steps so far, the errors are at most 3 step u g_max of m and (2 step + 3) u v of v, and one
// update adds lr u ((4 step + 10) g_max / (sqrt(...) + epsilon) + 3 weight_decay |param|) + u |param| to that of param.
struct AdamWStep {
  float lr = 0.0f;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;
  float grad_scale = 1.0f;  // clipping and averaging over micro-batches, folded in
  std::int64_t step = 1;    // 1 for the first update
};
void adamw(ExecContext& ctx, float* param, float* m, float* v, const float* grad, Index n,
           const AdamWStep& step);

// Stochastic gradient descent as PyTorch's SGD does it (dampening 0). Coupled decay enters the velocity:
//   g = grad * grad_scale + weight_decay * param;  velocity = momentum velocity + g
// decoupled decay, as AdamW's, does not: g = grad * grad_scale, and param *= 1 - lr * weight_decay comes first.
//   param -= lr * velocity                      nesterov == false
//   param -= lr * (g + momentum velocity)       nesterov == true (Sutskever et al. 2013, in PyTorch's form)
// velocity is 0 before the first step, and may be null when momentum is 0: then it is g, and nothing is kept.
struct SgdStep {
  float lr = 0.0f;
  float momentum = 0.0f;
  float weight_decay = 0.0f;
  bool nesterov = false;
  float grad_scale = 1.0f;
  bool decoupled = false;
};
void sgd(ExecContext& ctx, float* param, float* velocity, const float* grad, Index n, const SgdStep& step);

}  // namespace loglog::kernels
