// The vector type of the ISA being compiled, and the few operations that xsimd lacks or spells differently
// from version to version (8.1 of Debian 12 and newer). ISAs with an ARCH borrow xsimd::batch; the scalar one
// has a plain struct of one element. Tiles use only what is here plus the operators + - * / and comparisons.
#pragma once
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/bf16.hpp"
#include "kernels/matrix.hpp"

#if defined(LOGLOG_ARCH)
#include "kernels/simd/vec_xsimd.hpp"
#else
#include "kernels/simd/vec_scalar.hpp"
#endif

// What cannot happen inside a leaf, because its driver checked it: a trap in Debug and sanitizer builds, nothing in
// others. Not an exception, since leaves have none.
#if defined(NDEBUG) && !defined(LOGLOG_SANITIZED)
#define LOGLOG_DCHECK(condition) static_cast<void>(sizeof(condition))
#else
#define LOGLOG_DCHECK(condition)        \
  do {                                  \
    if (!(condition)) __builtin_trap(); \
  } while (false)
#endif

namespace loglog::kernels {
namespace {

// Elements of a float vector; Vec<std::int32_t> has as many.
constexpr int kWidth = Vec<float>::size;

// Calls f(integral_constant 0), ... f(integral_constant N-1): loops whose counters index registers. Plain
// loops stay loops in GCC at -O2, and the accumulators they index live in memory.
template <int N, int I = 0, class F>
[[gnu::always_inline]] inline void unroll(F&& f) {
  if constexpr (I < N) {
    f(std::integral_constant<int, I>{});
    unroll<N, I + 1>(f);
  }
}

// How long before its use a stream is asked for where hardware reads too little of it ahead (a row against weights of 1 GiB, two
// threads of a Xeon: 26 -> 32 GB/s; a copy with streamed stores, one thread: 21 -> 28).
constexpr Index kAheadBytes = 2048;

// Asks for as many elements as lie at p, so far behind it, which may be the next row's or nobody's.
template <class T>
[[gnu::always_inline]] inline void prefetch_ahead(const T* p, Index count) {
  constexpr Index kBytes = sizeof(T), kLine = 64 / kBytes;
  for (Index i = 0; i < count; i += kLine) __builtin_prefetch(p + kAheadBytes / kBytes + i);
}

// bfloat16 in memory, float32 in registers; rounded as to_bf16 does.
[[gnu::always_inline]] inline Vec<float> load(const bf16* p) {
  return float_of(shift_left(load_halves(p), 16));
}
// v in bfloat16 in the lower 16 bits of each lane, the sign above.
[[gnu::always_inline]] inline Vec<std::int32_t> bf16_bits_of(Vec<float> v) {
  using I32 = Vec<std::int32_t>;
  const I32 bits = bits_of(v);
  const I32 rounded = bits + I32(0x7fff) + (shift_right(bits, 16) & I32(1));
  const I32 quiet = bits | I32(0x400000);
  const auto number = v == v;  // NOLINT(misc-redundant-expression)
  return shift_right(bits_of(select(number, float_of(rounded), float_of(quiet))), 16);
}
[[gnu::always_inline]] inline void store(bf16* p, Vec<float> v) {
  store_halves(p, bf16_bits_of(v));
}
[[gnu::always_inline]] inline void stream(bf16* p, Vec<float> v) {
  stream_halves(p, bf16_bits_of(v));
}

// The same, but by the CPU's own rounding where its products of bfloat16 are its own: like them it makes 0 of magnitudes below
// 2^-126. One instruction in place of eight.
[[gnu::always_inline]] inline void store_flushing(bf16* p, Vec<float> v) {
#if defined(__AVX512BF16__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(v)));
#else
  store(p, v);
#endif
}

// int8 in memory, float32 in registers.
[[gnu::always_inline]] inline Vec<float> load(const std::int8_t* p) {
  return to_float(load_bytes(p));
}

// The first n < size elements at p, zeros behind them; nothing behind p + n is touched.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_partial(const T* p, Index n) {
  alignas(64) T lanes[Vec<T>::size] = {};
  for (Index i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}

[[gnu::always_inline]] inline Vec<float> load_partial(const bf16* p, Index n) {
  alignas(64) bf16 lanes[kWidth] = {};
  for (Index i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}

[[gnu::always_inline]] inline Vec<float> load_partial(const std::int8_t* p, Index n) {
  alignas(64) std::int8_t lanes[kWidth] = {};
  for (Index i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}

template <class T>
[[gnu::always_inline]] inline void store_partial(T* p, Vec<T> v, Index n) {
  alignas(64) T lanes[Vec<T>::size];
  store(lanes, v);
  for (Index i = 0; i < n; ++i) p[i] = lanes[i];
}

[[gnu::always_inline]] inline void store_partial(bf16* p, Vec<float> v, Index n) {
  alignas(64) bf16 lanes[kWidth];
  store(lanes, v);
  for (Index i = 0; i < n; ++i) p[i] = lanes[i];
}

#if defined(LOGLOG_ARCH)
// Lanes with bit kStep of their number clear from a, the others from b kStep lanes lower; kUpper: from a kStep lanes higher,
// and from b.
template <int kStep, bool kUpper, int... kLane>
[[gnu::always_inline]] inline Vec<float> merge_lanes(Vec<float> a, Vec<float> b,
                                                     std::integer_sequence<int, kLane...>) {
  using Register = Vec<float>::register_type;
  const auto ra = static_cast<Register>(a), rb = static_cast<Register>(b);
  if constexpr (kUpper) {
    return Vec<float>(__builtin_shufflevector(ra, rb, (kLane & kStep ? kLane + kWidth : kLane + kStep)...));
  } else {
    return Vec<float>(__builtin_shufflevector(ra, rb, (kLane & kStep ? kLane - kStep + kWidth : kLane)...));
  }
}
#endif

// rows[i] lane j becomes rows[j] lane i: exchanges the lanes of rows that are 1, 2, 4 .. apart. Four two-operand shuffles per row of
// 16 lanes, where moving element by element takes 16 stores.
template <int kStep = 1>
[[gnu::always_inline]] inline void transpose(Vec<float> (&rows)[kWidth]) {
  if constexpr (kStep < kWidth) {
    using Lanes = std::make_integer_sequence<int, kWidth>;
    unroll<kWidth>([&](auto i) {
      if constexpr ((i & kStep) == 0) {
        const Vec<float> a = rows[i], b = rows[i + kStep];
        rows[i] = merge_lanes<kStep, false>(a, b, Lanes{});
        rows[i + kStep] = merge_lanes<kStep, true>(a, b, Lanes{});
      }
    });
    transpose<2 * kStep>(rows);
  }
}

// For a value that all lanes hold.
[[gnu::always_inline]] inline float first_lane(Vec<float> v) {
  alignas(64) float lanes[kWidth];
  store(lanes, v);
  return lanes[0];
}

// Lane-wise result in ascending order: the same bits for a given width, whatever the compiler.
[[gnu::always_inline]] inline float reduce_max(Vec<float> v) {
  alignas(64) float lanes[kWidth];
  store(lanes, v);
  float best = lanes[0];
  for (int i = 1; i < kWidth; ++i) best = lanes[i] > best ? lanes[i] : best;
  return best;
}

}  // namespace
}  // namespace loglog::kernels
