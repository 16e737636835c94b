// The vector of ISAs with an ARCH: xsimd::batch. The only file that knows xsimd's versions.
#pragma once
#include <cstdint>
#include <xsimd/xsimd.hpp>

namespace loglog::kernels {
namespace {

template <class T>
using Vec = xsimd::batch<T, LOGLOG_ARCH>;
template <class T>
using Mask = xsimd::batch_bool<T, LOGLOG_ARCH>;

[[gnu::always_inline]] inline Vec<float> load(const float* p) {
  return Vec<float>::load_unaligned(p);
}
[[gnu::always_inline]] inline Vec<double> load(const double* p) {
  return Vec<double>::load_unaligned(p);
}
[[gnu::always_inline]] inline Vec<std::int32_t> load(const std::int32_t* p) {
  return Vec<std::int32_t>::load_unaligned(p);
}
template <class T>
[[gnu::always_inline]] inline void store(T* p, Vec<T> v) {
  v.store_unaligned(p);
}

// Past the caches, to a vector's boundary; stream_fence() makes what was streamed visible to other threads before what is
// stored after it. NEON has no such store for a single vector, so there it is a plain one.
[[gnu::always_inline]] inline void stream(float* p, Vec<float> v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, v);
#elif defined(__AVX2__)
  _mm256_stream_ps(p, v);
#else
  store(p, v);
#endif
}
[[gnu::always_inline]] inline void stream_fence() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

// a * b + c, rounded once. xsimd 8.1 has no fma for AVX-512 and falls back to two instructions.
[[gnu::always_inline]] inline Vec<float> muladd(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#else
  return xsimd::fma(a, b, c);
#endif
}
[[gnu::always_inline]] inline Vec<double> muladd(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#else
  return xsimd::fma(a, b, c);
#endif
}

template <class T>
[[gnu::always_inline]] inline Vec<T> select(Mask<T> mask, Vec<T> yes, Vec<T> no) {
  return xsimd::select(mask, yes, no);
}
// b unless the comparison is true, so that what a NaN gives is the same on every ISA (b). x86's instructions are defined
// so; NEON's return the NaN.
[[gnu::always_inline]] inline Vec<float> min(Vec<float> a, Vec<float> b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_min_ps(a, b);
#else
  return xsimd::select(a < b, a, b);
#endif
}
[[gnu::always_inline]] inline Vec<float> max(Vec<float> a, Vec<float> b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_max_ps(a, b);
#else
  return xsimd::select(a > b, a, b);
#endif
}
[[gnu::always_inline]] inline Vec<float> sqrt(Vec<float> a) {
  return xsimd::sqrt(a);
}
[[gnu::always_inline]] inline Vec<float> abs(Vec<float> a) {
  return xsimd::abs(a);
}
template <class T>
[[gnu::always_inline]] inline T reduce_add(xsimd::batch<T, LOGLOG_ARCH> v) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::reduce_add(v);
#else
  return xsimd::hadd(v);
#endif
}

// Any bytes as integer lanes.
[[gnu::always_inline]] inline Vec<std::int32_t> load_bits(const void* p) {
  return load(static_cast<const std::int32_t*>(p));  // vector loads may alias
}

// Unsigned 16-bit lanes as integer lanes, and the lower halves of integer lanes, which must fit as signed ones.
[[gnu::always_inline]] inline Vec<std::int32_t> load_halves(const void* p) {
#if defined(__AVX512F__)
  return Vec<std::int32_t>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))));
#elif defined(__AVX2__)
  return Vec<std::int32_t>(_mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
#else
  uint16x4_t halves;
  __builtin_memcpy(&halves, p, sizeof halves);
  return Vec<std::int32_t>(vreinterpretq_s32_u32(vmovl_u16(halves)));
#endif
}
[[gnu::always_inline]] inline void store_halves(void* p, Vec<std::int32_t> v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(v));
#elif defined(__AVX2__)
  // Each half of the register packs for itself: its quarters 0 and 2 are what is wanted.
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(v, v), 0b1000);
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
#else
  const int16x4_t halves = vmovn_s32(v);
  __builtin_memcpy(p, &halves, sizeof halves);
#endif
}

// Unsigned bytes as integer lanes.
[[gnu::always_inline]] inline Vec<std::int32_t> load_bytes(const std::uint8_t* p) {
#if defined(__AVX512F__)
  return Vec<std::int32_t>(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__AVX2__)
  return Vec<std::int32_t>(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  std::uint32_t bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  const uint16x8_t words = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes)));
  return Vec<std::int32_t>(vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words))));
#endif
}

// Signed bytes as integer lanes.
[[gnu::always_inline]] inline Vec<std::int32_t> load_bytes(const std::int8_t* p) {
#if defined(__AVX512F__)
  return Vec<std::int32_t>(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__AVX2__)
  return Vec<std::int32_t>(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  std::int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  const int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(bits)));
  return Vec<std::int32_t>(vmovl_s16(vget_low_s16(words)));
#endif
}

// The lowest bytes of integer lanes, which must fit as signed ones.
[[gnu::always_inline]] inline void store_bytes(std::int8_t* p, Vec<std::int32_t> v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
#elif defined(__AVX2__)
  const __m256i words = _mm256_packs_epi32(v, v), bytes = _mm256_packs_epi16(words, words);
  const int low = _mm256_extract_epi32(bytes, 0), high = _mm256_extract_epi32(bytes, 4);
  __builtin_memcpy(p, &low, sizeof low);
  __builtin_memcpy(p + sizeof low, &high, sizeof high);
#else
  const int16x4_t words = vmovn_s32(v);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
  const std::int32_t lanes = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
  __builtin_memcpy(p, &lanes, sizeof lanes);
#endif
}
[[gnu::always_inline]] inline bool any(Mask<float> mask) {
  return xsimd::any(mask);
}
[[gnu::always_inline]] inline void stream_halves(void* p, Vec<std::int32_t> v) {
#if defined(__AVX512F__)
  _mm256_stream_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(v));
#elif defined(__AVX2__)
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(v, v), 0b1000);  // as above
  _mm_stream_si128(static_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
#else
  store_halves(p, v);
#endif
}

// The elements of two vectors in even and odd places, and back: pairs that lie side by side.
struct VecPair {
  Vec<float> first, second;
};
[[gnu::always_inline]] inline VecPair deinterleave(Vec<float> low, Vec<float> high) {
#if defined(__AVX512F__)
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return {_mm512_permutex2var_ps(low, even, high), _mm512_permutex2var_ps(low, odd, high)};
#elif defined(__AVX2__)
  // Shuffles work on each half of the register; the quarters come out in the order 0 2 1 3.
  const auto in_order = [](__m256 v) {
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0b11011000));
  };
  return {in_order(_mm256_shuffle_ps(low, high, 0b10001000)),
          in_order(_mm256_shuffle_ps(low, high, 0b11011101))};
#else
  return {vuzp1q_f32(low, high), vuzp2q_f32(low, high)};
#endif
}
[[gnu::always_inline]] inline VecPair interleave(Vec<float> even, Vec<float> odd) {
#if defined(__AVX512F__)
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  return {_mm512_permutex2var_ps(even, low, odd), _mm512_permutex2var_ps(even, high, odd)};
#elif defined(__AVX2__)
  const __m256 low = _mm256_unpacklo_ps(even, odd), high = _mm256_unpackhi_ps(even, odd);
  return {_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31)};
#else
  return {vzip1q_f32(even, odd), vzip2q_f32(even, odd)};
#endif
}

// Truncates towards zero; the value must fit.
[[gnu::always_inline]] inline Vec<std::int32_t> to_int(Vec<float> v) {
  return xsimd::to_int(v);
}
[[gnu::always_inline]] inline Vec<float> to_float(Vec<std::int32_t> v) {
  return xsimd::to_float(v);
}
// The same bits as another type. Not xsimd::bitwise_cast: its NEON form goes through a table of function
// addresses, whose weak symbols break the leaf rule.
[[gnu::always_inline]] inline Vec<std::int32_t> bits_of(Vec<float> v) {
  using Register = Vec<std::int32_t>::register_type;
  return Vec<std::int32_t>(__builtin_bit_cast(Register, static_cast<Vec<float>::register_type>(v)));
}
[[gnu::always_inline]] inline Vec<float> float_of(Vec<std::int32_t> v) {
  using Register = Vec<float>::register_type;
  return Vec<float>(__builtin_bit_cast(Register, static_cast<Vec<std::int32_t>::register_type>(v)));
}
[[gnu::always_inline]] inline Vec<std::int32_t> shift_left(Vec<std::int32_t> v, int bits) {
  return v << bits;
}
// Arithmetic: copies the sign.
[[gnu::always_inline]] inline Vec<std::int32_t> shift_right(Vec<std::int32_t> v, int bits) {
  return v >> bits;
}

}  // namespace
}  // namespace loglog::kernels
