// Rows of rowwise/softmax.hpp and rowwise/cross_entropy.hpp.
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Of scale * x.
float row_maximum(Row x, F32 scale) noexcept {
  const float lowest = -__builtin_inff();
  F32 best(lowest);
  for_vectors(x.cols, [&](Index j, auto whole) {
    best = max(live(x.at(j, whole) * scale, lowest, x.cols - j, whole), best);
  });
  return reduce_max(best);
}

// Exponentials of a row, e^(scale x - maximum). Where results are cached they wait in y between the two passes; streamed,
// y is written once, and they are computed twice from x, which the first pass left in the caches.
template <class Streams>
struct ExponentialRow {
  Row x;
  OutputRow<float, Streams> y;
  F32 scale, maximum;

  template <class Whole>
  [[gnu::always_inline]] F32 exponential(Index j, Whole whole) const {
    return live(exp_softmax(x.at(j, whole) * scale - maximum), 0.0f, x.cols - j, whole);
  }
  // Their sum. y.data may be null: the sum alone.
  [[gnu::always_inline]] float first_pass() const {
    F32 sum(0.0f);
    for_vectors(x.cols, [&](Index j, auto whole) {
      const F32 p = exponential(j, whole);
      if (!Streams::value && y.data != nullptr) y.put(j, p, whole);
      sum = sum + p;
    });
    return reduce_add(sum);
  }
  // y = finish(exponential)
  template <class Finish>
  [[gnu::always_inline]] void second_pass(Finish&& finish) const {
    for_vectors(x.cols, [&](Index j, auto whole) {
      y.put(j, finish(Streams::value ? exponential(j, whole) : y.at(j, whole)), whole);
    });
  }
};

void softmax_forward_rows(MatrixRef out, ConstMatrixRef in, float scale, Stores stores) noexcept {
  with_stores(stores, out, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      const Row x{in.row(r), in.cols};
      const ExponentialRow<decltype(streams)> row{
          x, {out.row(r), in.cols}, F32(scale), F32(row_maximum(x, F32(scale)))};
      const F32 factor(1.0f / row.first_pass());
      row.second_pass([&](F32 p) { return p * factor; });
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
                        std::int32_t ignore, float scale, Stores stores) noexcept {
  const Index cols = logits.cols;
  const bool wants_gradient = d_logits.data != nullptr;
  with_stores(stores, d_logits, [&](auto streams) {
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
      const ExponentialRow<decltype(streams)> row{x, dx, F32(1.0f), F32(maximum)};
      const float total = row.first_pass();
      losses[r] = first_lane(log(F32(total))) + (maximum - target_logit);
      if (!wants_gradient) continue;
      const F32 factor(1.0f / total), scales(scale);
      row.second_pass([&](F32 p) { return p * factor * scales; });
      // 1 - p_target from the others would be exact but another pass; this is one rounding of a number below 1.
      dx.data[targets[r]] -= scale;
    }
  });
}

}  // namespace
}  // namespace loglog::kernels
