// Rows of rowwise/softmax.hpp and rowwise/cross_entropy.hpp.
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

[[gnu::always_inline]] inline const float* row_after(ConstMatrixRef x, Index r) {
  return x.row(r + 1 < x.rows ? r + 1 : r);
}

// Four chains, because one waits for each maximum before the next.
[[gnu::always_inline]] inline float row_maximum(Row x) {
  constexpr int kChains = 4;
  const float lowest = -__builtin_inff();
  F32 best[kChains];
  unroll<kChains>([&](auto i) { best[i] = F32(lowest); });
  Index j = 0;
  for (; j + kChains * kWidth <= x.cols; j += kChains * kWidth) {
    unroll<kChains>([&](auto i) { best[i] = max(load(x.data + j + i * kWidth), best[i]); });
  }
  for_vectors(x.cols - j, [&](Index k, auto whole) {
    const F32 v = Row{x.data + j, x.cols - j}.at(k, whole);
    best[0] = max(live(v, lowest, x.cols - j - k, whole), best[0]);
  });
  return reduce_max(max(max(best[0], best[1]), max(best[2], best[3])));
}

// Rows of exponentials wait for their sum in the output, or where that is streamed in `waiting` (cols).
template <class Streams>
[[gnu::always_inline]] inline MutableRow waiting_row(MatrixRef out, Index r, float* waiting, Streams) {
  return {Streams::value ? waiting : out.row(r), out.cols};
}

// y = 2^(log2_scale (x - maximum)), and their sum; y.data may be null. Memory would idle in this pass, which finds x in the
// caches: so it asks for the rows after both, next_y only where y is one of the output; and before y(j) is written, before(j, whole)
// may write what has waited there for its sum.
template <class Before>
[[gnu::always_inline]] inline float exponentials(MutableRow y, Row x, F32 log2_scale, F32 maximum,
                                                 const float* next_x, const float* next_y, Before&& before) {
  return row_sum(x.cols, [&](F32 sum, Index j, auto whole) {
    __builtin_prefetch(next_x + j);
    if (next_y != nullptr) __builtin_prefetch(next_y + j, 1);
    before(j, whole);
    const F32 p = live(exp2_softmax((x.at(j, whole) - maximum) * log2_scale), 0.0f, x.cols - j, whole);
    if (y.data != nullptr) y.put(j, p, whole);
    return sum + p;
  });
}

void softmax_forward_rows(MatrixRef out, ConstMatrixRef in, float scale, Stores stores,
                          float* waiting) noexcept {
  const F32 log2_scale(static_cast<float>(scale * kLog2e));
  with_stores(stores, out, [&](auto streams) {
    F32 factor(0.0f);
    const auto finish = [&](Index r) {
      const MutableRow e = waiting_row(out, r, waiting, streams);
      const OutputRow<float, decltype(streams)> y{out.row(r), in.cols};
      return [=](Index j, auto whole) { y.put(j, e.at(j, whole) * factor, whole); };
    };
    const auto begin = [&](Index r, auto&& before) {
      const Row x{in.row(r), in.cols};
      factor =
          F32(1.0f / exponentials(waiting_row(out, r, waiting, streams), x, log2_scale, F32(row_maximum(x)),
                                  row_after(in, r), streams ? nullptr : row_after(out, r), before));
    };
    for (Index r = 0; r < in.rows; ++r) {
      if (streams && r > 0)
        begin(r, finish(r - 1));
      else
        begin(r, [](Index, auto) {});
      if (!streams || r + 1 == in.rows) for_vectors(in.cols, finish(r));
    }
  });
}

// out = softmax(scale in), p = out:  d_in = scale p (d_out - sum d_out p).
void softmax_backward_rows(MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef out, float scale,
                           Stores stores) noexcept {
  with_stores(stores, d_in, [&](auto streams) {
    for (Index r = 0; r < out.rows; ++r) {
      const Row p{out.row(r), out.cols}, dy{d_out.row(r), out.cols};
      const F32 mean(row_sum(out.cols, [&](F32 sum, Index j, auto whole) {
        return muladd(dy.first_at(j, whole), p.first_at(j, whole), sum);
      }));
      const F32 scales(scale);
      const OutputRow<float, decltype(streams)> dx{d_in.row(r), out.cols};
      for_vectors(out.cols, [&](Index j, auto whole) {
        dx.put(j, scales * p.at(j, whole) * (dy.at(j, whole) - mean), whole);
      });
    }
  });
}

[[gnu::always_inline]] inline F32 with_lane_less(F32 v, Index lane, float by) {
  alignas(64) float values[kWidth];
  store(values, v);
  values[lane] -= by;
  return load(values);
}

// Losses, and with d_logits.data also gradients.
void cross_entropy_rows(float* losses, MatrixRef d_logits, ConstMatrixRef logits, const std::int32_t* targets,
                        std::int32_t ignore, float scale, float z_weight, Stores stores,
                        float* waiting) noexcept {
  const Index cols = logits.cols;
  const bool wants_gradient = d_logits.data != nullptr;
  const F32 log2e(static_cast<float>(kLog2e)), scales(scale);
  with_stores(stores, d_logits, [&](auto streams) {
    F32 factor(0.0f);
    const auto gradient = [&](Index r) { return OutputRow<float, decltype(streams)>{d_logits.row(r), cols}; };
    const auto finish = [&](Index r) {
      const MutableRow e = waiting_row(d_logits, r, waiting, streams);
      const auto dx = gradient(r);
      const Index target = targets[r];
      return [=](Index j, auto whole) {
        F32 d = e.at(j, whole) * factor * scales;
        // 1 - p_target from the others would be exact but another pass; this is one rounding of a number below 1.
        if (target >= j && target < j + kWidth) d = with_lane_less(d, target - j, scale);
        dx.put(j, d, whole);
      };
    };
    Index waits = -1;  // the row whose exponentials do
    const auto finish_waiting = [&] {
      if (waits >= 0) for_vectors(cols, finish(waits));
      waits = -1;
    };
    for (Index r = 0; r < logits.rows; ++r) {
      const Row x{logits.row(r), cols};
      if (targets[r] == ignore) {
        losses[r] = 0.0f;
        if (wants_gradient)
          for_vectors(cols, [&](Index j, auto whole) { gradient(r).put(j, F32(0.0f), whole); });
        continue;
      }
      const MutableRow e =
          wants_gradient ? waiting_row(d_logits, r, waiting, streams) : MutableRow{nullptr, cols};
      const float target_logit = x.data[targets[r]];  // before d_logits, which may be logits, is written
      const float maximum = row_maximum(x);
      const auto sum = [&](auto&& before) {
        return exponentials(e, x, log2e, F32(maximum), row_after(logits, r),
                            wants_gradient && !streams ? row_after(d_logits, r) : nullptr, before);
      };
      const float total = streams && waits >= 0 ? sum(finish(waits)) : sum([](Index, auto) {});
      const float log_total = first_lane(log(F32(total)));
      losses[r] = log_total + (maximum - target_logit);
      if (!wants_gradient) continue;
      factor = F32((1.0f + 2 * z_weight * (log_total + maximum)) / total);
      waits = r;
      if (!streams) finish_waiting();
    }
    finish_waiting();
  });
}

}  // namespace
}  // namespace loglog::kernels
