// The loss of a language model, and its gradient in the same pass.
//
// Shapes     logits, d_logits (R,V), losses, targets (R). V >= 1; R may be 0.
// Types      float32; d_logits float32 or bfloat16, then rounded once more.
// Strides    rows: any; columns: 1.
// Alignment  none required; rows of d_logits on 64-byte boundaries are faster.
// Aliasing   d_logits may be logits.
// Reads      only elements inside the shapes.
// Rounding   |loss - exact| <= u (V + 7 max|logit| + 8 + 3 loss), gradient u |scale| ((V + 9 max|logit| + 16) softmax + 1),
//            u = 2^-24; with z = z_weight > 0 and L the logsumexp, of the factor (1 + 2 z L) too:
//            u |scale| ((|1 + 2 z L| (V + 9 max|logit| + 17) + 2 z (V + 10 max|logit| + 8 + 5 |L|) + 2) softmax + 1) (docs/kernels.md, "Row kernels").
// Order      sums inside a row: fixed by V. No bit depends on ctx.threads, nor on the rows beside one.
// Errors     ContractError if shapes disagree, a size is below 0, rows of d_logits overlap, V or ctx.threads is below 1, a
//            target is outside the vocabulary, or scratch (rowwise_scratch_bytes; none for losses alone, or in place in float32) is too
//            small.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"
#include "kernels/rowwise/token.hpp"

namespace loglog::kernels {

// losses[r] = logsumexp(logits[r,:]) - logits[r, targets[r]] in nats. A target of kIgnoreTarget gives loss 0 and, below,
// a zero gradient.
void cross_entropy_forward(ExecContext& ctx, float* losses, ConstMatrixRef logits, const Token* targets);
// The same with the gradient of scale * (loss + z_weight * logsumexp^2):
//   d_logits[r,:] = scale * ((1 + 2 z_weight logsumexp(logits[r,:])) softmax(logits[r,:]) - onehot(targets[r]))
// `scale` is 1 / (number of targets) for a mean loss. z_weight, in 0..1, pulls the logits' common level towards 0, which the
// loss alone leaves free (z-loss: Chowdhery et al. 2022, PaLM, section 5: 1e-4); losses are without it.
void cross_entropy_forward_backward(ExecContext& ctx, float* losses, const FloatMatrix& d_logits,
                                    ConstMatrixRef logits, const Token* targets, float scale,
                                    float z_weight = 0.0f);

}  // namespace loglog::kernels
