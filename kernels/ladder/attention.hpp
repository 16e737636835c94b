// The ladder of causal self-attention: from the T x T matrix to blocks that never form it, forward and backward.
//
//   S = Q K' / sqrt(D), causal;  P = softmax(S);  out = P V            for each of H heads
#pragma once
#include <vector>

#include "kernels/exec.hpp"
#include "kernels/ladder/rung.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels::ladder {

struct AttentionCall {
  Index heads, time, size;  // H, T, D
  const float *q, *k, *v;   // (H,T,D)
  float* out;               // (H,T,D)
  const float* d_out;       // (H,T,D); backward rungs alone read it and write the three
  float *d_q, *d_k, *d_v;   // (H,T,D)
};

// Shapes     as above. H and T may be 0, D is at least 1.
// Strides    none: head after head, row after row without gaps.
// Alignment  none required.
// Aliasing   what is written overlaps nothing else.
// Reads      row t of `out` depends on rows 0..t of k and v alone; outputs may hold NaN on entry.
// Rounding   |out - exact| <= 2 E max|v|, E = (6 T + 11 + (D + 4 + 2 T) A) 2^-24 with A as in kernels/attention.hpp: its bound
//            with a new maximum at every key. Gradients: see docs/kernels.md with this E.
// Order      keys ascending; a head's bits depend neither on H nor on ctx.threads.
// Errors     none; ctx.scratch has attention_scratch() bytes. Memory that a rung takes beside it may throw std::bad_alloc.
using AttentionRun = void(ExecContext& ctx, const AttentionCall& call);
using AttentionRung = Rung<AttentionRun>;

std::vector<AttentionRung> attention_rungs(const KernelTable& table);
std::size_t attention_scratch(const KernelTable& table, int threads, Index heads, Index time, Index size);

}  // namespace loglog::kernels::ladder
