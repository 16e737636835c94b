// Rows of rowwise/softmax.hpp and rowwise/cross_entropy.hpp.
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

[[gnu::always_inline]] inline const float* row_after(ConstMatrixRef x, Index r) {
  return x.row(r + 1 < x.rows ? r + 1 : r);
}

// Of scale * x. Four chains, because one waits for each maximum before the next.
[[gnu::always_inline]] inline float row_maximum(Row x, F32 scale) {
  constexpr int kChains = 4;
  const float lowest = -__builtin_inff();
  F32 best[kChains];
  unroll<kChains>([&](auto i) { best[i] = F32(lowest); });
  Index j = 0;
  for (; j + kChains * kWidth <= x.cols; j += kChains * kWidth) {
    unroll<kChains>([&](auto i) { best[i] = max(load(x.data + j + i * kWidth) * scale, best[i]); });
  }
  for_vectors(x.cols - j, [&](Index k, auto whole) {
    const F32 v = Row{x.data + j, x.cols - j}.at(k, whole) * scale;
    best[0] = max(live(v, lowest, x.cols - j - k, whole), best[0]);
  });
  return reduce_max(max(max(best[0], best[1]), max(best[2], best[3])));
}

// Exponentials of a row, e^(scale x - maximum), which wait between two passes in `waiting`: the row of results itself, or
// where results are streamed, and so written once, another place that stays in the caches.
struct ExponentialRow {
  Row x;
  MutableRow waiting;  // null: only their sum is wanted
  F32 scale, maximum;
  const float* next;  // row of x, or the last itself

  // Memory would idle in this pass, which finds x in the caches: so it asks for the next row.
  [[gnu::always_inline]] float first_pass() const {
    F32 sum(0.0f);
    for_vectors(x.cols, [&](Index j, auto whole) {
      __builtin_prefetch(next + j);
      const F32 p = live(exp_softmax(x.at(j, whole) * scale - maximum), 0.0f, x.cols - j, whole);
      if (waiting.data != nullptr) waiting.put(j, p, whole);
      sum = sum + p;
    });
    return reduce_add(sum);
  }
  // y = finish(exponential)
  template <class Streams, class Finish>
  [[gnu::always_inline]] void second_pass(OutputRow<float, Streams> y, Finish&& finish) const {
    for_vectors(x.cols, [&](Index j, auto whole) { y.put(j, finish(waiting.at(j, whole)), whole); });
  }
};

// Results are streamed where exponentials have a place to wait in (table.hpp).
[[gnu::always_inline]] inline Stores stores_with(const float* waiting) {
  return waiting != nullptr ? Stores::streamed : Stores::cached;
}

void softmax_forward_rows(MatrixRef out, ConstMatrixRef in, float scale, float* waiting) noexcept {
  const Index cols = in.cols;
  with_stores(stores_with(waiting), out, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      const Row x{in.row(r), cols};
      const ExponentialRow row{x,
                               {streams ? waiting : out.row(r), cols},
                               F32(scale),
                               F32(row_maximum(x, F32(scale))),
                               row_after(in, r)};
      const F32 factor(1.0f / row.first_pass());
      row.second_pass(OutputRow<float, decltype(streams)>{out.row(r), cols},
                      [&](F32 p) { return p * factor; });
    }
  });
}

// out = softmax(scale in), p = out:  d_in = scale p (d_out - sum d_out p).
void softmax_backward_rows(MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef out, float scale,
                           Stores stores) noexcept {
  with_stores(stores, d_in, [&](auto streams) {
    for (Index r = 0; r < out.rows; ++r) {
      const Row p{out.row(r), out.cols}, dy{d_out.row(r), out.cols};
      F32 sum(0.0f);
      for_vectors(out.cols, [&](Index j, auto whole) { sum = muladd(dy.at(j, whole), p.at(j, whole), sum); });
      const F32 mean(reduce_add(sum)), scales(scale);
      const OutputRow<float, decltype(streams)> dx{d_in.row(r), out.cols};
      for_vectors(out.cols, [&](Index j, auto whole) {
        dx.put(j, scales * p.at(j, whole) * (dy.at(j, whole) - mean), whole);
      });
    }
  });
}

// Losses, and with d_logits.data also gradients.
void cross_entropy_rows(float* losses, MatrixRef d_logits, ConstMatrixRef logits, const std::int32_t* targets,
                        std::int32_t ignore, float scale, float* waiting) noexcept {
  const Index cols = logits.cols;
  const bool wants_gradient = d_logits.data != nullptr;
  with_stores(stores_with(waiting), d_logits, [&](auto streams) {
    for (Index r = 0; r < logits.rows; ++r) {
      const OutputRow<float, decltype(streams)> dx{wants_gradient ? d_logits.row(r) : nullptr, cols};
      if (targets[r] == ignore) {
        losses[r] = 0.0f;
        if (wants_gradient) for_vectors(cols, [&](Index j, auto whole) { dx.put(j, F32(0.0f), whole); });
        continue;
      }
      const Row x{logits.row(r), cols};
      const float target_logit = x.data[targets[r]];  // before d_logits, which may be logits, is written
      const float maximum = row_maximum(x, F32(1.0f));
      const ExponentialRow row{
          x, {streams ? waiting : dx.data, cols}, F32(1.0f), F32(maximum), row_after(logits, r)};
      const float total = row.first_pass();
      losses[r] = first_lane(log(F32(total))) + (maximum - target_logit);
      if (!wants_gradient) continue;
      const F32 factor(1.0f / total), scales(scale);
      row.second_pass(dx, [&](F32 p) { return p * factor * scales; });
      // 1 - p_target from the others would be exact but another pass; this is one rounding of a number below 1.
      dx.data[targets[r]] -= scale;
    }
  });
}

}  // namespace
}  // namespace loglog::kernels
