// Quantisation of one line, and the product of quantised matrices with their outliers, by plain loops.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/int8.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels::reference {

struct QuantizedLine {
  std::vector<std::int8_t> q;
  float scale = 0.0f;
  std::int32_t zero = 0, sum = 0;
};

inline bool is_outlier(float x, float limit) {
  return !(std::fabs(x) < limit);  // NaN is one
}

// The n elements of x, scaled by the range of `range_of`: itself, or a whole matrix.
inline QuantizedLine quantize_ref(Int8Range range, const std::vector<float>& x,
                                  const std::vector<float>& limits, float low, float high) {
  const bool absmax = range == Int8Range::absmax;
  const double steps = absmax ? 127.0 : 255.0;
  const double width = absmax ? std::max<double>(-low, high) : static_cast<double>(high) - low;
  QuantizedLine line;
  float inverse = 0.0f;
  if (width >= 0x1p-119) {
    inverse = static_cast<float>(steps / width);
    line.scale = static_cast<float>(width / steps);
    if (!absmax) line.zero = -128 - static_cast<std::int32_t>(std::nearbyint(low * inverse));
  }
  for (std::size_t j = 0; j < x.size(); ++j) {
    const float inlier = is_outlier(x[j], limits[j]) ? 0.0f : x[j];
    const auto q = static_cast<std::int32_t>(std::nearbyint(inlier * inverse)) + line.zero;
    line.q.push_back(static_cast<std::int8_t>(std::clamp(q, -128, 127)));
    line.sum += line.q.back();
  }
  return line;
}

// sum of (x - zero) (w - zero) over the inliers: what the int8 product has to find exactly.
inline std::int64_t quantized_dot_ref(const QuantizedLine& x, const QuantizedLine& w) {
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < x.q.size(); ++k) sum += std::int64_t{x.q[k] - x.zero} * (w.q[k] - w.zero);
  return sum;
}

}  // namespace loglog::kernels::reference
