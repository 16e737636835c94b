// Products of int8 on x86, 256 or 512 bits wide as the ISA is.
#pragma once
#include <immintrin.h>

#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// The 4 bytes at p in all lanes.
[[gnu::always_inline]] inline Vec<std::int32_t> broadcast_unit(const void* p) {
  std::int32_t unit;
  __builtin_memcpy(&unit, p, sizeof unit);
  return Vec<std::int32_t>(unit);
}

// int8 through int16: the bytes of even and of odd steps, sign-extended by shifts, times a pair of int16 of A. A product
// of two int8 and a sum of two of them fit into int32 whatever they are, unlike in VPMADDUBSW, whose int16 sums saturate.
struct PortableS8 {
  using A = std::int16_t;
  using B = std::int8_t;
  using Sum = std::int32_t;
  static constexpr int kGroup = 4, kParts = 2;
  static constexpr int kMr =
      LOGLOG_MR < 8 ? LOGLOG_MR : 8;  // 12 rows on avx512: 0.6 times as fast, for lack of registers
  static constexpr PackedA kPackedA = PackedA::widened;
  static constexpr bool kReadsInPlace = false, kBPlus128 = false;
  static constexpr Subnormals kSubnormals = Subnormals::kept;

  template <int kPart>
  [[gnu::always_inline]] static Vec<std::int32_t> b(const std::int8_t* p) {
    const Vec<std::int32_t> bytes = load_bits(p);
#if defined(__AVX512BW__)
    return Vec<std::int32_t>(_mm512_srai_epi16(kPart == 0 ? _mm512_slli_epi16(bytes, 8) : __m512i(bytes), 8));
#else
    return Vec<std::int32_t>(_mm256_srai_epi16(kPart == 0 ? _mm256_slli_epi16(bytes, 8) : __m256i(bytes), 8));
#endif
  }
  [[gnu::always_inline]] static Vec<std::int32_t> a(const std::int16_t* p) {
    return broadcast_unit(p);
  }
  [[gnu::always_inline]] static Vec<std::int32_t> add(Vec<std::int32_t> sum, Vec<std::int32_t> a,
                                                      Vec<std::int32_t> b) {
#if defined(__AVX512BW__)
    return sum + Vec<std::int32_t>(_mm512_madd_epi16(a, b));
#else
    return sum + Vec<std::int32_t>(_mm256_madd_epi16(a, b));
#endif
  }
};

// VPDPBUSD: four products of an unsigned and a signed byte, added without saturation. B has 128 added to make it
// unsigned; the sums start at -128 times those of A's rows. Instruction::dpbusd(sum, unsigned, signed) is it; tests have a model.
template <class Instruction>
struct UnsignedS8 {
  using A = std::int8_t;
  using B = std::int8_t;
  using Sum = std::int32_t;
  static constexpr int kGroup = 4, kParts = 1, kMr = LOGLOG_MR;
  static constexpr PackedA kPackedA = PackedA::groups;
  static constexpr bool kReadsInPlace = true, kBPlus128 = true;
  static constexpr Subnormals kSubnormals = Subnormals::kept;

  template <int>
  [[gnu::always_inline]] static Vec<std::int32_t> b(const std::int8_t* p) {
    return load_bits(p);
  }
  [[gnu::always_inline]] static Vec<std::int32_t> a(const std::int8_t* p) { return broadcast_unit(p); }
  [[gnu::always_inline]] static Vec<std::int32_t> add(Vec<std::int32_t> sum, Vec<std::int32_t> a,
                                                      Vec<std::int32_t> b) {
    return Vec<std::int32_t>(Instruction::dpbusd(sum, b, a));
  }
};

#if defined(__AVX512VNNI__)

struct Vnni {
  [[gnu::always_inline]] static __m512i dpbusd(__m512i sum, __m512i a, __m512i b) {
    return _mm512_dpbusd_epi32(sum, a, b);
  }
};
using NativeS8 = UnsignedS8<Vnni>;

#elif defined(__AVXVNNI__)

struct Vnni {
  [[gnu::always_inline]] static __m256i dpbusd(__m256i sum, __m256i a, __m256i b) {
    return _mm256_dpbusd_avx_epi32(sum, a, b);
  }
};
using NativeS8 = UnsignedS8<Vnni>;

#endif

#if defined(__AVX512BF16__)

// VDPBF16PS: two products per lane and step, added with roundings of its own; subnormal inputs and results count as zero.
struct NativeBf16 {
  using A = bf16;
  using B = bf16;
  using Sum = float;
  static constexpr int kGroup = 2, kParts = 1, kMr = LOGLOG_MR;
  static constexpr PackedA kPackedA = PackedA::groups;
  static constexpr bool kReadsInPlace = true, kBPlus128 = false;
  static constexpr Subnormals kSubnormals = Subnormals::flushed;

  template <int>
  [[gnu::always_inline]] static Vec<std::int32_t> b(const bf16* p) {
    return load_bits(p);
  }
  [[gnu::always_inline]] static Vec<std::int32_t> a(const bf16* p) { return broadcast_unit(p); }
  [[gnu::always_inline]] static Vec<float> add(Vec<float> sum, Vec<std::int32_t> a, Vec<std::int32_t> b) {
    return Vec<float>(_mm512_dpbf16_ps(sum, __builtin_bit_cast(__m512bh, __m512i(a)),
                                       __builtin_bit_cast(__m512bh, __m512i(b))));
  }
};

#endif

}  // namespace
}  // namespace loglog::kernels
