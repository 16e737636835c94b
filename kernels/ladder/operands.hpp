// Values of operands that depend on their position alone.
#pragma once
#include <cstdint>

#include "kernels/matrix.hpp"

namespace loglog::kernels::ladder {

inline std::uint32_t scrambled(Index i, std::uint32_t stream) {
  auto x = static_cast<std::uint32_t>(i) * 0x9e3779b9u + stream * 0x85ebca6bu;
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

// -4 .. 4: sums of up to 2^19 products of two are exact in float32.
inline float small_integer(Index i, std::uint32_t stream) {
  return static_cast<float>(scrambled(i, stream) % 9) - 4.0f;
}

// Sum of four uniforms: near enough to normal, mean 0, variance 1.
inline float normal_like(Index i, std::uint32_t stream) {
  float sum = 0.0f;
  for (std::uint32_t part = 0; part < 4; ++part) {
    sum += static_cast<float>(scrambled(i, 4 * stream + part) >> 8) * 0x1p-24f - 0.5f;
  }
  return sum * 1.7320508f;
}

}  // namespace loglog::kernels::ladder
