// One head of a token's keys or values in int8, by plain loops.
#pragma once
#include <limits>

#include "kernels/reference/int8.hpp"

namespace loglog::kernels::reference {

// x[d] stands for scale * q[d]; the scale of what is not finite is NaN.
inline QuantizedLine store_head_ref(const std::vector<float>& x) {
  bool finite = true;
  float low = 0.0f, high = 0.0f;
  for (const float value : x) {
    if (!std::isfinite(value)) {
      finite = false;
      continue;
    }
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const std::vector<float> limits(x.size(), std::numeric_limits<float>::infinity());
  QuantizedLine line = quantize_ref(Int8Range::absmax, x, limits, low, high);
  if (!finite) line.scale = std::numeric_limits<float>::quiet_NaN();
  return line;
}

inline double stored_value(const QuantizedLine& line, std::size_t d) {
  return static_cast<double>(line.scale) * line.q[d];
}

}  // namespace loglog::kernels::reference
