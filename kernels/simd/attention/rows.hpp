// The family AttentionRows of one ISA: rows of scores whose products are strips of another family (attention_bf16.hpp).
#pragma once
#include "kernels/simd/attention/softmax.hpp"

namespace loglog::kernels {
namespace {

void clear(bf16* out, Index first, Index last) noexcept {
  for (Index j = first; j < last; ++j) out[j] = bf16{};
}

struct RoundedWeights {
  bf16* data;
  [[gnu::always_inline]] friend void store(const RoundedWeights& to, F32 v) { store_flushing(to.data, v); }
  RoundedWeights operator+(Index j) const { return {data + j}; }
};

void softmax_rows(const SoftmaxTile& t) noexcept {
  for (Index i = 0; i < t.rows; ++i) {
    bf16* const weights = t.weights + i * t.weight_row;
    if (t.first[i] < t.last[i]) {
      const float factor = softmax_step(RoundedWeights{weights}, t.scores + i * t.score_row, t.first[i],
                                        t.last[i], t.scale, t.state[i]);
      rescale(t.sums + i * t.sums_row, t.sums_cols, factor);
    }
    // Also where a maximum that is NaN has made NaN of what is not seen.
    clear(weights, 0, t.first[i]);
    clear(weights, larger(t.last[i], t.first[i]), t.cols);
  }
}

void score_gradient_rows(const ScoreGradientTile& t) noexcept {
  for (Index i = 0; i < t.rows; ++i) {
    const float *const scores = t.scores + i * t.score_row, *const d_weights = t.d_weights + i * t.score_row;
    bf16 *const weights = t.weights + i * t.weight_row, *const d_scores = t.d_scores + i * t.weight_row;
    const F32 lse(t.lse[i] / t.scale), delta(t.delta[i]);  // as scores are, without their factor
    const F32 log2_scale(static_cast<float>(t.scale * kLog2e));
    const Index to = t.first[i] < t.last[i] ? t.last[i] : t.first[i];
    for (Index j = round_down(t.first[i], kWidth); j < to; j += kWidth) {
      const F32 weight = exp2_softmax((load(scores + j) - lse) * log2_scale);
      store(RoundedWeights{weights} + j, weight);
      store(RoundedWeights{d_scores} + j, weight * (load(d_weights + j) - delta));
    }
    for (bf16* const out : {weights, d_scores}) {
      clear(out, 0, t.first[i]);
      clear(out, to, t.cols);
    }
  }
}

template <class F>
void with_type(void* data, FloatType type, F&& f) {
  with_type(FloatRows{data, type, 0}, f);
}
template <class F>
void with_type(const void* data, FloatType type, F&& f) {
  with_type(ConstFloatRows{data, type, 0}, f);
}

void finish_any_row(void* out, FloatType type, float* lse, const float* sums, Index n, float scale,
                    const OnlineSoftmax& state) noexcept {
  with_type(out, type, [&](auto* data) { finish_row(data, lse, sums, n, scale, state); });
}

void store_any_row(void* out, FloatType type, const float* in, Index n, float factor) noexcept {
  with_type(out, type, [&](auto* data) { unpack_row(data, in, n, factor); });
}

float dot_any_rows(const void* a, FloatType a_type, const void* b, FloatType b_type, Index n) noexcept {
  F32 sum(0.0f);
  with_type(a, a_type, [&](auto* x) {
    with_type(b, b_type, [&](auto* y) {
      Index i = 0;
      for (; i + kWidth <= n; i += kWidth) sum = muladd(load(x + i), load(y + i), sum);
      if (i < n) sum = muladd(load_partial(x + i, n - i), load_partial(y + i, n - i), sum);
    });
  });
  return reduce_add(sum);
}

constinit const AttentionRows kAttentionRows = {
    .softmax = softmax_rows,
    .score_gradients = score_gradient_rows,
    .finish = finish_any_row,
    .store_row = store_any_row,
    .dot = dot_any_rows,
};

}  // namespace
}  // namespace loglog::kernels
