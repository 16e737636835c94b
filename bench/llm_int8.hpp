// Operands of the LLM.int8() product: a few features of X are many times as large as all others.
#pragma once
#include <cmath>

#include "bench/operands.hpp"
#include "kernels/int8.hpp"

namespace loglog::bench {

class LlmInt8Operands {
 public:
  static constexpr Index kOutlierColumns = 6;
  static constexpr kernels::Int8Options kOptions = {.scheme = {}, .threshold = 6.0f};

  explicit LlmInt8Operands(const GemmShape& shape)
      : shape_(shape), x_(shape.m * shape.k), w_(shape.k * shape.n) {
    const Index apart = shape.k / (kOutlierColumns + 1);
    for (Index e = 0; e < x_.count(); ++e) {
      const Index k = e % shape.k;
      const bool is_outlier = k % apart == 0 && k > 0 && k <= kOutlierColumns * apart;
      x_.data()[e] =
          is_outlier ? kOutlier + static_cast<float>(small_value(e)) : kInlierUnit * small_value(e);
    }
    for (Index e = 0; e < w_.count(); ++e) w_.data()[e] = kWeightUnit * small_value(e);
  }
  kernels::ConstMatrixRef x() const { return {x_.data(), shape_.m, shape_.k}; }
  kernels::ConstMatrixRef w() const { return {w_.data(), shape_.k, shape_.n}; }

  // A few elements of C within what rounding to int8 may move them by (docs/kernels.md): outliers that were not taken out
  // would go far beyond what is left without them.
  bool is_product(const float* c, const kernels::Int8Options& options = kOptions) const {
    const double largest =
        options.threshold > kOutlier ? kOutlier + 7 : 8 * kInlierUnit;  // of what is rounded
    const double x_step = largest / 127.0, w_step = 8 * kWeightUnit / 127.0;
    for (Index e = 0; e < 64; ++e) {
      const Index i = e * 7919 % shape_.m, j = e * 104729 % shape_.n;
      double sum = 0.0, bound = 0.0;
      for (Index p = 0; p < shape_.k; ++p) {
        const double x = x_.data()[i * shape_.k + p], w = w_.data()[p * shape_.n + j];
        sum += x * w;
        bound += (std::abs(x) * w_step + std::abs(w) * x_step + x_step * w_step / 2) / 2;
      }
      if (!(std::abs(c[i * shape_.n + j] - sum) <= 1.01 * bound)) return false;
    }
    return true;
  }

 private:
  static constexpr float kInlierUnit = 0.25f, kOutlier = 20.0f, kWeightUnit = 0x1p-6f;

  GemmShape shape_;
  Buffer<float> x_, w_;
};

}  // namespace loglog::bench
