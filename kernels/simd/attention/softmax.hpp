// The softmax of rows of scores, brought up to date block by block.
#pragma once
#include "kernels/simd/attention/row.hpp"

namespace loglog::kernels {
namespace {

// weights = exp(scale (scores - maximum)) at [begin, end), 0 beside them up to whole vectors; returns the factor that brings
// what was summed before to the new maximum. weights may be scores, which are overwritten beside [begin, end). scale > 0.
template <class Out>
float softmax_step(Out weights, float* scores, Index begin, Index end, float scale,
                   OnlineSoftmax& state) noexcept {
  LOGLOG_DCHECK(begin < end);
  const Index from = round_down(begin, kWidth), to = round_up(end, kWidth);
  for (Index j = from; j < begin; ++j) scores[j] = -__builtin_inff();
  for (Index j = end; j < to; ++j) scores[j] = -__builtin_inff();
  F32 best = load(scores + from);
  for (Index j = from + kWidth; j < to; j += kWidth) best = max(best, load(scores + j));
  float maximum = reduce_max(best);
  if (state.maximum > maximum) maximum = state.maximum;
  const F32 log2_scale(static_cast<float>(scale * kLog2e));
  F32 sum(0.0f);
  for (Index j = from; j < to; j += kWidth) {
    const F32 p = exp2_softmax((load(scores + j) - F32(maximum)) * log2_scale);
    store(weights + j, p);
    sum = sum + p;
  }
  const float factor = first_lane(exp2_softmax(F32(state.maximum - maximum) * log2_scale));
  state.sum = state.sum * factor + reduce_add(sum);
  state.maximum = maximum;
  return factor;
}

[[gnu::always_inline]] inline void rescale(float* sums, Index cols, float factor) {
  if (factor == 1.0f) return;
  for (Index d = 0; d < cols; d += kWidth) store(sums + d, load(sums + d) * F32(factor));
}

// out = sums / sum, lse = scale * maximum + log(sum); 0 and -inf for a row that sees nothing.
template <class T>
void finish_row(T* out, float* lse, const float* sums, Index n, float scale,
                const OnlineSoftmax& state) noexcept {
  unpack_row(out, sums, n, state.sum == 0.0f ? 0.0f : 1.0f / state.sum);
  *lse = scale * state.maximum + first_lane(log(F32(state.sum)));
}

}  // namespace
}  // namespace loglog::kernels
