// Blocked causal self-attention, forward and backward, that never forms the T x T matrix.
//
//   S = Q K^T / sqrt(D), causal;  P = softmax(S);  out = P V            per batch entry and head
//   lse[t] = log sum_s exp(S[t,s])                                      all that backward needs of S
//
// Sources: Milakov & Gimelshein 2018 (online softmax); Dao et al. 2022, FlashAttention, algorithms 1 and 4;
// backward: delta = rowsum(d_out * out), dS = P * (dP - delta).
#pragma once
#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

struct AttentionShape {
  Index batch = 0;      // B
  Index time = 0;       // T
  Index heads = 0;      // H
  Index head_size = 0;  // D
};

// Shapes     q, k, v, out (B*T, H*D), head h in columns h*D .. h*D+D-1; lse (B*H*T), entry (b*H + h)*T + t.
//            q, k, v may be column ranges of one (B*T, 3*H*D) matrix. Any dimension may be 0.
// Strides    rows: any; columns: 1.
// Alignment  none required.
// Aliasing   out and lse overlap nothing else.
// Reads      row t of out depends on rows 0..t of k and v of that sequence alone: no NaN behind t gets in.
// Rounding   |out - exact| <= 2 E max|v| and |lse - exact| <= E + 2^-23 |lse| per element, to first order in
//            2^-24, with E = (33/32 T + (D + 6 + T/128) A + 16) 2^-24 and A the maximum over the keys of
//            sum_d |q||k| / sqrt(D). Derivation and gradients: docs/kernels.md.
// Order      key blocks ascending; a row's bits depend neither on the batch nor on ctx.threads.
// Errors     ContractError if shapes disagree, ctx.threads < 1, or scratch is too small.
void attention_forward(ExecContext& ctx, MatrixRef out, float* lse, ConstMatrixRef q, ConstMatrixRef k,
                       ConstMatrixRef v, const AttentionShape& shape);

// Gradients of the above; the three are overwritten. Same contract; d_q, d_k, d_v may be column ranges of one
// matrix and overlap nothing else.
void attention_backward(ExecContext& ctx, MatrixRef d_q, MatrixRef d_k, MatrixRef d_v, ConstMatrixRef d_out,
                        ConstMatrixRef q, ConstMatrixRef k, ConstMatrixRef v, ConstMatrixRef out,
                        const float* lse, const AttentionShape& shape);

// Bytes that either takes from ctx.scratch. Linear in T.
std::size_t attention_scratch_bytes(const KernelTable& table, int threads,
                                    const AttentionShape& shape) noexcept;

}  // namespace loglog::kernels
