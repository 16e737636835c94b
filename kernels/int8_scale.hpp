// How a line of floats becomes int8, for the drivers that quantise (int8.hpp, key_values.hpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/int8.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// q = round(x * inverse) + zero, x ~ scale (q - zero).
struct LineScale {
  float scale, inverse;
  std::int32_t zero;
};

inline LineScale choose_scale(Int8Range range, ValueRange of) {
  const double low = of.low, high = of.high;
  const bool absmax = range == Int8Range::absmax;
  const double width = absmax ? std::max(-low, high) : high - low, steps = absmax ? 127.0 : 255.0;
  if (width < 0x1p-119) return {0.0f, 0.0f, 0};  // the inverse would overflow
  const auto inverse = static_cast<float>(steps / width);
  const auto zero = absmax ? 0 : -128 - static_cast<std::int32_t>(std::nearbyint(of.low * inverse));
  return {static_cast<float>(width / steps), inverse, zero};
}

}  // namespace loglog::kernels
