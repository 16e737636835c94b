// bfloat16: the upper half of a float32. A format of storage; sums are float32.
#pragma once
#include <bit>
#include <cstdint>

namespace loglog::kernels {

struct bf16 {
  std::uint16_t bits;
};

constexpr float to_float(bf16 x) noexcept {
  return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
}

// The nearest bfloat16, ties to even: relative error at most 2^-8 for normal numbers; above the largest, infinity. A NaN
// stays a NaN, quiet, with the upper bits of its payload.
constexpr bf16 to_bf16(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<std::uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

}  // namespace loglog::kernels
