// Blocked attention, forward and backward, that never forms the matrix of scores.
//
//   S = Q K^T / sqrt(D) where the mask lets a query see a key;  P = softmax(S);  out = P V      per sequence and head
//   lse[t] = log sum_s exp(S[t,s])                                                    all that backward needs of S
//
// Self-attention of sequences of one length, of any lengths packed one after the other, and of a few new queries against
// a cache of keys and values are one function; so are float32, bfloat16 and, of keys and values, int8 (key_values.hpp).
//
// Sources: Milakov & Gimelshein 2018 (online softmax); Dao et al. 2022, FlashAttention, algorithms 1 and 4;
// Shazeer 2019 and Ainslie et al. 2023 (queries that share keys); backward: delta = rowsum(d_out * out), dS = P * (dP - delta).
#pragma once
#include "kernels/attention_mask.hpp"
#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"
#include "kernels/key_value_matrix.hpp"

namespace loglog::kernels {

// Rows [query, query + queries) of q attend to rows [key, key + keys) of k and v. The last query stands at the last key,
// as a new token stands at the end of its cache.
struct AttentionSequence {
  Index query, queries, key, keys;
};

struct AttentionShape {
  Index batch = 0;  // B, sequences
  Index time = 0;   // T, queries and keys of each, one sequence after the other, where `sequences` is null
  Index heads = 0;  // H
  Index head_size = 0;  // D
  Index kv_heads = 0;   // of k and v, divides H: query head h reads head h / (H / kv_heads). 0: H
  AttentionMask mask{};
  const AttentionSequence* sequences = nullptr;  // (B)
};

// Shapes     q, out (Nq, H*D), head h in columns h*D .. h*D+D-1; k, v (Nk, kv_heads*D). Nq = Nk = B*T, or whatever holds
//            the rows of `sequences`, whose queries ascend without overlap. lse (H*Nq), of head h and query i of
//            a sequence whose first row is r and which has n: entry r*H + h*n + i. q, k, v may be column ranges of one matrix.
//            Any dimension may be 0.
//            Each is float32 or bfloat16, k and v forward also int8, one alone or both; scores, softmax and sums are float32.
//            Where q, k, v (and d_out) are all bfloat16 and the ISA has its own product of them, P and dS are rounded to
//            bfloat16 for theirs (attention_bf16.hpp).
// Strides    rows: any; columns: 1.
// Alignment  none required, of the scales of int8 neither.
// Aliasing   out and lse overlap nothing else.
// Reads      a row of out depends on the rows of k and v that the mask lets it see, and on no others: no NaN elsewhere gets
//            in; a scale of NaN is one in its whole head. A query that sees nothing has out 0 and lse -infinity. Rows of out
//            outside `sequences` are left.
// Rounding   |out - exact| <= 2 E max|v| and |lse - exact| <= E + 2^-23 |lse| per element, to first order in
//            2^-24, with E = (33/32 n + (D + 16 + n/128) A + 21) 2^-24, n the keys that the query sees and A the maximum over
//            them of sum_d |q||k| / sqrt(D); a bfloat16 out adds 2^-8 |out|, rounded weights 2^-8 max|v|. Of int8 the exact
//            k and v are scale * q in real numbers; E then has 17 in place of 16, and out another 2^-24 max|v|. Derivation
//            and gradients: docs/kernels.md. Where the product of bfloat16 flushes subnormals (GemmBf16::subnormals), elements of
//            bfloat16 operands, P and dS below 2^-126 are 0 to it.
//            All that unless a product or a sum of some of them overflows: of scores, those of q k / sqrt(D), but of q k where
//            the ISA has its own product of bfloat16 (attention_bf16.hpp).
// Order      blocks of 256 keys ascending, counted from the first key of the sequence; a row's bits depend on nothing but its
//            query and the keys it sees with their positions: not on the batch, the other queries of the call or ctx.threads.
// Errors     ContractError if shapes disagree, a size is below 0, rows of what is written overlap (a row stride below the
//            columns), a sequence is outside the rows, ctx.threads < 1, or scratch is too small.
void attention_forward(ExecContext& ctx, const FloatMatrix& out, float* lse, const ConstFloatMatrix& q,
                       const ConstKeyValueMatrix& k, const ConstKeyValueMatrix& v,
                       const AttentionShape& shape);

// Gradients of the above; the three are overwritten. Same contract; the keys of `sequences` ascend without overlap too, and rows of
// the gradients outside them are left. Of keys and values that no query reads, or no head with H = 0, they are 0. d_q, d_k, d_v may
// be column ranges of one matrix and overlap nothing else. Sums run over keys for d_q, over queries and, within one, over the heads that share a key for d_k and d_v, ascending.
void attention_backward(ExecContext& ctx, const FloatMatrix& d_q, const FloatMatrix& d_k,
                        const FloatMatrix& d_v, const ConstFloatMatrix& d_out, const ConstFloatMatrix& q,
                        const ConstFloatMatrix& k, const ConstFloatMatrix& v, const ConstFloatMatrix& out,
                        const float* lse, const AttentionShape& shape);

// Bytes that either takes from ctx.scratch. Linear in the longest sequence.
std::size_t attention_scratch_bytes(const KernelTable& table, int threads,
                                    const AttentionShape& shape) noexcept;

}  // namespace loglog::kernels
