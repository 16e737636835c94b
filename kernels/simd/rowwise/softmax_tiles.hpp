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

// y = e^(scale x - maximum), and their sum; y.data may be null. They wait in y for the sum. Streaming results would need
// another place for them, and was slower: 0.41 instead of 0.54 of a copy for rows of 50304, and for cross entropy of rows of
// 1024 0.43 instead of 0.52. Memory would idle in this pass, which finds x in the caches: so it asks for the rows after both.
[[gnu::always_inline]] inline float exponentials(MutableRow y, Row x, F32 scale, F32 maximum,
                                                 const float* next_x, const float* next_y) {
  F32 sum(0.0f);
  for_vectors(x.cols, [&](Index j, auto whole) {
    __builtin_prefetch(next_x + j);
    if (y.data != nullptr) __builtin_prefetch(next_y + j, 1);
    const F32 p = live(exp_softmax(x.at(j, whole) * scale - maximum), 0.0f, x.cols - j, whole);
    if (y.data != nullptr) y.put(j, p, whole);
    sum = sum + p;
  });
  return reduce_add(sum);
}

void softmax_forward_rows(MatrixRef out, ConstMatrixRef in, float scale) noexcept {
  for (Index r = 0; r < in.rows; ++r) {
    const Row x{in.row(r), in.cols};
    const MutableRow y{out.row(r), in.cols};
    const F32 scales(scale), maximum(row_maximum(x, scales));
    const F32 factor(1.0f / exponentials(y, x, scales, maximum, row_after(in, r), row_after(out, r)));
    for_vectors(in.cols, [&](Index j, auto whole) { y.put(j, y.at(j, whole) * factor, whole); });
  }
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
                        std::int32_t ignore, float scale) noexcept {
  const Index cols = logits.cols;
  const bool wants_gradient = d_logits.data != nullptr;
  for (Index r = 0; r < logits.rows; ++r) {
    const Row x{logits.row(r), cols};
    const MutableRow dx{wants_gradient ? d_logits.row(r) : nullptr, cols};
    if (targets[r] == ignore) {
      losses[r] = 0.0f;
      if (wants_gradient) for_vectors(cols, [&](Index j, auto whole) { dx.put(j, F32(0.0f), whole); });
      continue;
    }
    const float target_logit = x.data[targets[r]];  // before d_logits, which may be logits, is written
    const float maximum = row_maximum(x, F32(1.0f));
    const float total = exponentials(dx, x, F32(1.0f), F32(maximum), row_after(logits, r),
                                     wants_gradient ? row_after(d_logits, r) : nullptr);
    losses[r] = first_lane(log(F32(total))) + (maximum - target_logit);
    if (!wants_gradient) continue;
    const F32 factor(1.0f / total), scales(scale);
    for_vectors(cols, [&](Index j, auto whole) { dx.put(j, dx.at(j, whole) * factor * scales, whole); });
    // 1 - p_target from the others would be exact but another pass; this is one rounding of a number below 1.
    dx.data[targets[r]] -= scale;
  }
}

}  // namespace
}  // namespace loglog::kernels
