// Products of int8 on 64-bit ARM.
#pragma once
#include <arm_neon.h>

#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

struct PortableS8 {
  using A = std::int8_t;
  using B = std::int8_t;
  using Sum = std::int32_t;
  static constexpr int kGroup = 4, kParts = 1, kMr = LOGLOG_MR;
  static constexpr PackedA kPackedA = PackedA::groups;
  static constexpr bool kReadsInPlace = true, kBPlus128 = false;
  static constexpr Subnormals kSubnormals = Subnormals::kept;

  template <int>
  [[gnu::always_inline]] static int8x16_t b(const std::int8_t* p) {
    return vld1q_s8(p);
  }
  [[gnu::always_inline]] static int8x16_t a(const std::int8_t* p) {
    std::int32_t unit;
    __builtin_memcpy(&unit, p, sizeof unit);
    return vreinterpretq_s8_s32(vdupq_n_s32(unit));
  }
  [[gnu::always_inline]] static Vec<std::int32_t> add(Vec<std::int32_t> sum, int8x16_t a, int8x16_t b) {
    // Two products of int8 need 17 bits: their pairs are added as int32.
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    const int32x4_t high = vpaddlq_s16(vmull_high_s8(a, b));
    return sum + Vec<std::int32_t>(vpaddq_s32(low, high));
  }
};

#if defined(__ARM_FEATURE_DOTPROD)

// SDOT: four products of int8 per lane, added as int32.
struct NativeS8 : PortableS8 {
  [[gnu::always_inline]] static Vec<std::int32_t> add(Vec<std::int32_t> sum, int8x16_t a, int8x16_t b) {
    return Vec<std::int32_t>(vdotq_s32(sum, a, b));
  }
};

#endif

}  // namespace
}  // namespace loglog::kernels
