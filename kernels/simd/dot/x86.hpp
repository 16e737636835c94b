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
    __m512i result = _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#else
    __m256i result = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
#endif
    // GCC 12 would add the products of both parts first, and keep the sums of a tile in memory to have registers for that.
    asm("" : "+v"(result));
    return Vec<std::int32_t>(result);
  }
};

// The sums of the lanes of four vectors: 15 instructions instead of 40 for one vector after the other.
[[gnu::always_inline]] inline __m128i sums_of_lanes(const Vec<std::int32_t> (&v)[4]) {
#if defined(__AVX512BW__)
  const auto pairs = [](__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  };
  const __m512i ab = pairs(v[0], v[1]), cd = pairs(v[2], v[3]);
  const __m512i quarters = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i halves =
      _mm256_add_epi32(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64(quarters, 1));
#else
  const __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
#endif
  return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

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

  static void row_compensation(std::int32_t* out, ConstMatrix<std::int8_t> a) noexcept {
    if (a.col_stride != 1) return transposed_row_compensation(out, a);
    constexpr Index kRows = 4, kBytes = sizeof(Vec<std::int32_t>);
    const auto ones = Vec<std::int32_t>(0x01010101);
    for (Index first = 0; first < a.rows; first += kRows) {
      const Index rows = a.rows - first < kRows ? a.rows - first : kRows;
      const std::int8_t* row[kRows];
      Vec<std::int32_t> sums[kRows];
      for (Index i = 0; i < kRows; ++i) {  // the last row also for those that are not there
        row[i] = a.data + (first + (i < rows ? i : rows - 1)) * a.row_stride;
        sums[i] = Vec<std::int32_t>(0);
      }
      Index p = 0;
      for (; p + kBytes <= a.cols; p += kBytes)
        for (Index i = 0; i < kRows; ++i) sums[i] = add(sums[i], load_bits(row[i] + p), ones);
      std::int32_t sum[kRows];
      _mm_storeu_si128(reinterpret_cast<__m128i*>(sum), sums_of_lanes(sums));
      for (; p < a.cols; ++p)
        for (Index i = 0; i < kRows; ++i) sum[i] += row[i][p];
      for (Index i = 0; i < rows; ++i) out[first + i] = -128 * sum[i];
    }
  }

 private:
  // Rows that lie side by side: a line of each step after the other.
  static void transposed_row_compensation(std::int32_t* out, ConstMatrix<std::int8_t> a) noexcept {
    constexpr Index kRows = 64;
    for (Index first = 0; first < a.rows; first += kRows) {
      const Index rows = a.rows - first < kRows ? a.rows - first : kRows;
      std::int32_t sum[kRows] = {};
      for (Index p = 0; p < a.cols; ++p) {
        const std::int8_t* const step = a.data + first * a.row_stride + p * a.col_stride;
        if (rows == kRows && a.row_stride == 1)
          for (Index i = 0; i < kRows; ++i) sum[i] += step[i];
        else
          for (Index i = 0; i < rows; ++i) sum[i] += step[i * a.row_stride];
      }
      for (Index i = 0; i < rows; ++i) out[first + i] = -128 * sum[i];
    }
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
