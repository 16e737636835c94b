// Row kernels of rowwise.hpp: everything that goes once over rows or elements. Rows are cut into whole
// vectors and one partial vector, so the order of a row's sums depends on its length alone.
#pragma once
#include "kernels/simd/math.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Calls step(j, whole) for every vector of a row; whole says whether all its lanes exist. Inlined twice, so
// the whole vectors carry no test.
template <class Step>
[[gnu::always_inline]] inline void for_vectors(Index cols, Step&& step) {
  Index j = 0;
  for (; j + kWidth <= cols; j += kWidth) step(j, std::true_type{});
  if (j < cols) step(j, std::false_type{});
}

// One row for these steps: knows its end, so that a partial vector neither reads nor writes behind it.
struct Row {
  const float* data;
  Index cols;
  template <class Whole>
  [[gnu::always_inline]] F32 at(Index j, Whole) const {
    if constexpr (Whole::value) return load(data + j);
    return load_partial(data + j, cols - j);
  }
};
struct MutableRow {
  float* data;
  Index cols;
  template <class Whole>
  [[gnu::always_inline]] F32 at(Index j, Whole whole) const {
    return Row{data, cols}.at(j, whole);
  }
  template <class Whole>
  [[gnu::always_inline]] void put(Index j, F32 v, Whole) const {
    if constexpr (Whole::value) {
      store(data + j, v);
    } else {
      store_partial(data + j, v, cols - j);
    }
  }
};

// v in the lanes that exist, `other` in the rest of a partial vector.
template <class Whole>
[[gnu::always_inline]] inline F32 live(F32 v, float other, Index lanes, Whole) {
  if constexpr (Whole::value) return v;
  alignas(64) float values[kWidth];
  store(values, v);
  for (Index i = lanes; i < kWidth; ++i) values[i] = other;
  return load(values);
}

void layernorm_forward_rows(MatrixRef out, float* mean, float* rstd, ConstMatrixRef in, const float* gain,
                            const float* bias, float epsilon) noexcept {
  const Index cols = in.cols;
  const float n = static_cast<float>(cols);
  for (Index r = 0; r < in.rows; ++r) {
    const Row x{in.row(r), cols};
    F32 sum(0.0f);
    for_vectors(cols, [&](Index j, auto whole) { sum = sum + x.at(j, whole); });
    const float mu = reduce_add(sum) / n;
    // A second pass instead of E[x^2] - mean^2, which cancels when the mean is large.
    F32 squares(0.0f);
    for_vectors(cols, [&](Index j, auto whole) {
      const F32 centred = live(x.at(j, whole) - F32(mu), 0.0f, cols - j, whole);
      squares = muladd(centred, centred, squares);
    });
    const float inverse = 1.0f / first_lane(sqrt(F32(reduce_add(squares) / n + epsilon)));
    mean[r] = mu;
    rstd[r] = inverse;
    const MutableRow y{out.row(r), cols};
    for_vectors(cols, [&](Index j, auto whole) {
      const F32 normal = (x.at(j, whole) - F32(mu)) * F32(inverse);
      const F32 scaled = normal * Row{gain, cols}.at(j, whole);
      y.put(j, bias != nullptr ? scaled + Row{bias, cols}.at(j, whole) : scaled, whole);
    });
  }
}

// With n = (x - mean) rstd and g = d_out * gain:  d_in = rstd (g - mean(g) - n mean(g n)).
void layernorm_backward_rows(MatrixRef d_in, float* d_gain, float* d_bias, ConstMatrixRef d_out,
                             ConstMatrixRef in, const float* mean, const float* rstd,
                             const float* gain) noexcept {
  const Index cols = in.cols;
  const float n = static_cast<float>(cols);
  const MutableRow d_gains{d_gain, cols}, d_biases{d_bias, cols};
  const Row gains{gain, cols};
  for (Index r = 0; r < in.rows; ++r) {
    const Row x{in.row(r), cols}, dy{d_out.row(r), cols};
    const F32 mu(mean[r]), inverse(rstd[r]);
    F32 sum_g(0.0f), sum_gn(0.0f);
    // Lanes behind the end have d_out = 0, so they add nothing to any of the four sums.
    for_vectors(cols, [&](Index j, auto whole) {
      const F32 normal = (x.at(j, whole) - mu) * inverse, d = dy.at(j, whole), g = d * gains.at(j, whole);
      sum_g = sum_g + g;
      sum_gn = muladd(g, normal, sum_gn);
      d_gains.put(j, muladd(d, normal, d_gains.at(j, whole)), whole);
      if (d_bias != nullptr) d_biases.put(j, d + d_biases.at(j, whole), whole);
    });
    const F32 mean_g(reduce_add(sum_g) / n), mean_gn(reduce_add(sum_gn) / n);
    const MutableRow dx{d_in.row(r), cols};
    for_vectors(cols, [&](Index j, auto whole) {
      const F32 normal = (x.at(j, whole) - mu) * inverse, g = dy.at(j, whole) * gains.at(j, whole);
      dx.put(j, ((g - mean_g) - normal * mean_gn) * inverse, whole);
    });
  }
}

void gelu_forward_rows(MatrixRef out, ConstMatrixRef in) noexcept {
  for (Index r = 0; r < in.rows; ++r) {
    const Row x{in.row(r), in.cols};
    const MutableRow y{out.row(r), in.cols};
    for_vectors(in.cols, [&](Index j, auto whole) { y.put(j, gelu(x.at(j, whole)), whole); });
  }
}

void gelu_backward_rows(MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef in) noexcept {
  for (Index r = 0; r < in.rows; ++r) {
    const Row x{in.row(r), in.cols}, dy{d_out.row(r), in.cols};
    const MutableRow dx{d_in.row(r), in.cols};
    for_vectors(in.cols, [&](Index j, auto whole) {
      dx.put(j, dy.at(j, whole) * gelu_derivative(x.at(j, whole)), whole);
    });
  }
}

void add_rows(MatrixRef out, ConstMatrixRef a, ConstMatrixRef b) noexcept {
  for (Index r = 0; r < a.rows; ++r) {
    const Row x{a.row(r), a.cols}, y{b.row(r), a.cols};
    const MutableRow z{out.row(r), a.cols};
    for_vectors(a.cols, [&](Index j, auto whole) { z.put(j, x.at(j, whole) + y.at(j, whole), whole); });
  }
}

void add_columns(float* out, ConstMatrixRef in) noexcept {
  const MutableRow sums{out, in.cols};
  for_vectors(in.cols, [&](Index j, auto whole) {
    F32 sum(0.0f);
    for (Index r = 0; r < in.rows; ++r) sum = sum + Row{in.row(r), in.cols}.at(j, whole);
    sums.put(j, sums.at(j, whole) + sum, whole);
  });
}

float row_maximum(Row x) noexcept {
  const float lowest = -__builtin_inff();
  F32 best(lowest);
  for_vectors(x.cols, [&](Index j, auto whole) {
    best = max(live(x.at(j, whole), lowest, x.cols - j, whole), best);
  });
  return reduce_max(best);
}

// Losses, and with d_logits.data also gradients; the exponentials wait in d_logits between the two passes.
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
    const float maximum = row_maximum(x);
    F32 sum(0.0f);
    for_vectors(cols, [&](Index j, auto whole) {
      const F32 p = live(exp_softmax(x.at(j, whole) - F32(maximum)), 0.0f, cols - j, whole);
      if (wants_gradient) dx.put(j, p, whole);
      sum = sum + p;
    });
    const float total = reduce_add(sum);
    losses[r] = first_lane(log(F32(total))) + (maximum - target_logit);
    if (!wants_gradient) continue;
    const F32 factor(1.0f / total), scales(scale);
    for_vectors(cols, [&](Index j, auto whole) { dx.put(j, dx.at(j, whole) * factor * scales, whole); });
    // 1 - p_target from the others would be exact but another pass; this is one rounding of a number below 1.
    dx.data[targets[r]] -= scale;
  }
}

void adamw_elements(float* param, float* m, float* v, const float* grad, Index n,
                    const AdamWCoefficients& c) noexcept {
  const MutableRow params{param, n}, ms{m, n}, vs{v, n};
  const Row grads{grad, n};
  for_vectors(n, [&](Index j, auto whole) {
    const F32 g = grads.at(j, whole) * F32(c.grad_scale);
    const F32 first = muladd(F32(c.beta1), ms.at(j, whole), F32(c.one_minus_beta1) * g);
    const F32 second = muladd(F32(c.beta2), vs.at(j, whole), F32(c.one_minus_beta2) * (g * g));
    ms.put(j, first, whole);
    vs.put(j, second, whole);
    const F32 step = first * F32(c.correct1) / (sqrt(second * F32(c.correct2)) + F32(c.epsilon));
    const F32 p = params.at(j, whole);
    params.put(j, p - F32(c.lr) * muladd(F32(c.weight_decay), p, step), whole);
  });
}

// In float64: 16 sums by index modulo 16, then in order, so that every ISA gives the same bits.
double square_sum(const float* x, Index n) noexcept {
  constexpr int kSums = 16;
  double sums[kSums] = {};
  Index i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int j = 0; j < kSums; ++j) sums[j] += double(x[i + j]) * double(x[i + j]);
  }
  for (int j = 0; i < n; ++i, ++j) sums[j] += double(x[i]) * double(x[i]);
  double sum = 0.0;
  for (int j = 0; j < kSums; ++j) sum += sums[j];
  return sum;
}

// Element by element, for the tests of math.hpp.
template <F32 (*function)(F32)>
void map_elements(float* out, const float* in, Index n) noexcept {
  for_vectors(n, [&](Index j, auto whole) {
    MutableRow{out, n}.put(j, function(Row{in, n}.at(j, whole)), whole);
  });
}

constinit const Rowwise kRowwise = {
    .layernorm_forward = layernorm_forward_rows,
    .layernorm_backward = layernorm_backward_rows,
    .gelu_forward = gelu_forward_rows,
    .gelu_backward = gelu_backward_rows,
    .add = add_rows,
    .add_columns = add_columns,
    .cross_entropy = cross_entropy_rows,
    .adamw = adamw_elements,
    .square_sum = square_sum,
    .exp = map_elements<exp>,
    .exp_softmax = map_elements<exp_softmax>,
    .log = map_elements<log>,
    .tanh = map_elements<tanh>,
};

}  // namespace
}  // namespace loglog::kernels
