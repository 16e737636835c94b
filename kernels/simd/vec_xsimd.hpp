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
// Through a comparison, not the machine's minimum: what a NaN gives is then the same on every ISA (b).
[[gnu::always_inline]] inline Vec<float> min(Vec<float> a, Vec<float> b) {
  return xsimd::select(a < b, a, b);
}
[[gnu::always_inline]] inline Vec<float> max(Vec<float> a, Vec<float> b) {
  return xsimd::select(a > b, a, b);
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
