// Rows of rowwise/norm.hpp.
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

template <class Streams>
[[gnu::always_inline]] inline void layernorm_forward_row(OutputRow<float, Streams> y, float& mean,
                                                         float& rstd, Row x, const float* gain,
                                                         const float* bias, float epsilon) {
  const Index cols = x.cols;
  const float n = static_cast<float>(cols);
  const float mu =
      row_sum(cols, [&](F32 sum, Index j, auto whole) { return sum + x.first_at(j, whole); }) / n;
  // A second pass instead of E[x^2] - mean^2, which cancels when the mean is large.
  const float squares = row_sum(cols, [&](F32 sum, Index j, auto whole) {
    const F32 centred = live(x.at(j, whole) - F32(mu), 0.0f, cols - j, whole);
    return muladd(centred, centred, sum);
  });
  const float inverse = 1.0f / first_lane(sqrt(F32(squares / n + epsilon)));
  mean = mu;
  rstd = inverse;
  for_vectors(cols, [&](Index j, auto whole) {
    const F32 normal = (x.at(j, whole) - F32(mu)) * F32(inverse);
    const F32 scaled = normal * Row{gain, cols}.at(j, whole);
    y.put(j, bias != nullptr ? scaled + Row{bias, cols}.at(j, whole) : scaled, whole);
  });
}

void layernorm_forward_rows(MatrixRef out, float* mean, float* rstd, ConstMatrixRef in, const float* gain,
                            const float* bias, float epsilon, Stores stores) noexcept {
  with_stores(stores, out, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      layernorm_forward_row(OutputRow<float, decltype(streams)>{out.row(r), in.cols}, mean[r], rstd[r],
                            Row{in.row(r), in.cols}, gain, bias, epsilon);
    }
  });
}

// With n = (x - mean) rstd and g = d_out * gain:  d_in = rstd (g - mean(g) - n mean(g n)).
template <class Streams>
[[gnu::always_inline]] inline void layernorm_backward_row(OutputRow<float, Streams> dx, float* d_gain,
                                                          float* d_bias, Row dy, Row x, float mean,
                                                          float rstd, Row gains) {
  const Index cols = x.cols;
  const float n = static_cast<float>(cols);
  const MutableRow d_gains{d_gain, cols}, d_biases{d_bias, cols};
  const F32 mu(mean), inverse(rstd);
  // Lanes behind the end have d_out = 0, so they add nothing to any of the four sums.
  F32 sum_g(0.0f);
  const float sum_gn = row_sum(cols, [&](F32 sum, Index j, auto whole) {
    const F32 normal = (x.first_at(j, whole) - mu) * inverse, d = dy.first_at(j, whole),
              g = d * gains.at(j, whole);
    sum_g = sum_g + g;
    d_gains.put(j, muladd(d, normal, d_gains.at(j, whole)), whole);
    if (d_bias != nullptr) d_biases.put(j, d + d_biases.at(j, whole), whole);
    return muladd(g, normal, sum);
  });
  const F32 mean_g(reduce_add(sum_g) / n), mean_gn(sum_gn / n);
  for_vectors(cols, [&](Index j, auto whole) {
    const F32 normal = (x.at(j, whole) - mu) * inverse, g = dy.at(j, whole) * gains.at(j, whole);
    dx.put(j, ((g - mean_g) - normal * mean_gn) * inverse, whole);
  });
}

void layernorm_backward_rows(MatrixRef d_in, float* d_gain, float* d_bias, ConstMatrixRef d_out,
                             ConstMatrixRef in, const float* mean, const float* rstd, const float* gain,
                             Stores stores) noexcept {
  const Index cols = in.cols;
  with_stores(stores, d_in, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      layernorm_backward_row(OutputRow<float, decltype(streams)>{d_in.row(r), cols}, d_gain, d_bias,
                             Row{d_out.row(r), cols}, Row{in.row(r), cols}, mean[r], rstd[r],
                             Row{gain, cols});
    }
  });
}

void rmsnorm_forward_rows(MatrixRef out, float* rstd, ConstMatrixRef in, const float* gain, float epsilon,
                          Stores stores) noexcept {
  const Index cols = in.cols;
  with_stores(stores, out, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      const Row x{in.row(r), cols};
      const float squares = row_sum(cols, [&](F32 sum, Index j, auto whole) {
        return muladd(x.first_at(j, whole), x.at(j, whole), sum);
      });
      const float mean = squares / static_cast<float>(cols);
      rstd[r] = 1.0f / first_lane(sqrt(F32(mean + epsilon)));
      const F32 inverse(rstd[r]);
      const OutputRow<float, decltype(streams)> y{out.row(r), cols};
      for_vectors(cols, [&](Index j, auto whole) {
        y.put(j, x.at(j, whole) * inverse * Row{gain, cols}.at(j, whole), whole);
      });
    }
  });
}

// With n = x rstd and g = d_out * gain:  d_in = rstd (g - n mean(g n)).
void rmsnorm_backward_rows(MatrixRef d_in, float* d_gain, ConstMatrixRef d_out, ConstMatrixRef in,
                           const float* rstd, const float* gain, Stores stores) noexcept {
  const Index cols = in.cols;
  const MutableRow d_gains{d_gain, cols};
  const Row gains{gain, cols};
  with_stores(stores, d_in, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      const Row x{in.row(r), cols}, dy{d_out.row(r), cols};
      const F32 inverse(rstd[r]);
      const float sum_gn = row_sum(cols, [&](F32 sum, Index j, auto whole) {
        const F32 normal = x.first_at(j, whole) * inverse, d = dy.first_at(j, whole);
        d_gains.put(j, muladd(d, normal, d_gains.at(j, whole)), whole);
        return muladd(d * gains.at(j, whole), normal, sum);
      });
      const F32 mean_gn(sum_gn / static_cast<float>(cols));
      const OutputRow<float, decltype(streams)> dx{d_in.row(r), cols};
      for_vectors(cols, [&](Index j, auto whole) {
        const F32 normal = x.at(j, whole) * inverse, g = dy.at(j, whole) * gains.at(j, whole);
        dx.put(j, (g - normal * mean_gn) * inverse, whole);
      });
    }
  });
}

}  // namespace
}  // namespace loglog::kernels
