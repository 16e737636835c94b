// Kernels that go once over rows or elements: normalisation, activation, loss, embedding, optimiser, reductions.
//
// One block of contract for all of them; what differs stands at the function.
//
// Shapes     as written at each function: (R,C) are matrices with R rows. R and C may be 0 unless said
//            otherwise.
// Strides    rows: any; columns: 1.
// Alignment  none required.
// Aliasing   outputs overlap inputs only where a function says so.
// Reads      only elements inside the shapes.
// Rounding   derived per function in docs/kernels.md; u = 2^-24.
// Order      sums inside a row: fixed by C. Sums over rows (gain, bias) and of squares: in chunks of a fixed size,
//            added in ascending order. Embedding gradients: one chain over the rows in ascending order. No bit
//            depends on ctx.threads.
// Errors     ContractError if shapes disagree, a token is outside the vocabulary, time or ctx.threads is below 1, or
//            scratch is too small.
//
// Gradients: of parameters accumulate (+=), of activations overwrite (=).
#pragma once
#include <cstdint>

#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

using Token = std::int32_t;

// out[r,:] = (in[r,:] - mean[r]) * rstd[r] * gain + bias, rstd = 1 / sqrt(var + epsilon), var with 1/C (Ba et
// al. 2016). gain (C); bias (C) or null; mean, rstd (R) are outputs that backward reads. out may be in. A row of no columns has
// no mean: with C == 0 nothing is written, mean and rstd neither.
void layernorm_forward(ExecContext& ctx, MatrixRef out, float* mean, float* rstd, ConstMatrixRef in,
                       const float* gain, const float* bias, float epsilon);
// d_gain (C) += ..., d_bias (C) += ... (null when the layer has none), d_in = .... d_in may be d_out.
void layernorm_backward(ExecContext& ctx, MatrixRef d_in, float* d_gain, float* d_bias, ConstMatrixRef d_out,
                        ConstMatrixRef in, const float* mean, const float* rstd, const float* gain);

// GELU, tanh form (Hendrycks & Gimpel 2016, eq. 2): 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). out may be in.
void gelu_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef in);
// d_in = d_out * gelu'(in), in = the value before GELU. d_in may be d_out.
void gelu_backward(ExecContext& ctx, MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef in);

// out = a + b, all (R,C). out may be a or b.
void add(ExecContext& ctx, MatrixRef out, ConstMatrixRef a, ConstMatrixRef b);

// out (C) += sum over rows of in (R,C): the gradient of a bias.
void column_sums(ExecContext& ctx, float* out, ConstMatrixRef in);

// losses[r] = logsumexp(logits[r,:]) - logits[r, targets[r]] in nats. logits (R,V), targets (R), V >= 1.
// A target of kIgnoreTarget gives loss 0 and, in backward, a zero gradient.
inline constexpr Token kIgnoreTarget = -1;
void cross_entropy_forward(ExecContext& ctx, float* losses, ConstMatrixRef logits, const Token* targets);
// The same in one pass with the gradient: d_logits[r,:] = scale * (softmax(logits[r,:]) -
// onehot(targets[r])). d_logits may be logits. `scale` is 1 / (number of targets) for a mean loss.
void cross_entropy_forward_backward(ExecContext& ctx, float* losses, MatrixRef d_logits,
                                    ConstMatrixRef logits, const Token* targets, float scale);

// out[r,:] = token_table[tokens[r],:] + position_table[r % time,:]. out (R,C), token_table (V,C),
// position_table (time,C), time >= 1.
void embedding_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef token_table,
                       ConstMatrixRef position_table, const Token* tokens, Index time);
// d_token_table[tokens[r],:] += d_out[r,:]; d_position_table[r % time,:] += d_out[r,:]. Rows in ascending order.
void embedding_backward(ExecContext& ctx, MatrixRef d_token_table, MatrixRef d_position_table,
                        ConstMatrixRef d_out, const Token* tokens, Index time);

// AdamW with decoupled decay (Loshchilov & Hutter 2019, algorithm 2), on n elements:
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

// Sum of squares of n elements in float64, for the global gradient norm. NaN and infinity propagate.
double sum_of_squares(ExecContext& ctx, const float* x, Index n);

// Bytes that any function above takes from ctx.scratch for matrices of at most (rows, cols).
std::size_t rowwise_scratch_bytes(const KernelTable& table, int threads, Index rows, Index cols) noexcept;

}  // namespace loglog::kernels
