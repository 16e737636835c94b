// Rows of attention, of any type in memory and of float32 in scratch.
#pragma once
#include "kernels/simd/math.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

constexpr Index smaller(Index a, Index b) {
  return a < b ? a : b;
}
constexpr Index larger(Index a, Index b) {
  return a > b ? a : b;
}
constexpr Index round_down(Index a, Index b) {
  return a / b * b;
}

// One cache line more than the columns: rows of a power of two would all begin in the same few sets of the cache.
constexpr Index kLineFloats = 16;
constexpr Index padded_row(Index head_size) noexcept {
  return round_up(head_size, kWidth) + kLineFloats;
}

// f(pointer of the rows' own type).
template <class F>
[[gnu::always_inline]] inline void with_type(const ConstFloatRows& x, F&& f) {
  if (x.type == FloatType::bfloat16) {
    f(static_cast<const bf16*>(x.data));
  } else {
    f(static_cast<const float*>(x.data));
  }
}
template <class F>
[[gnu::always_inline]] inline void with_type(const FloatRows& x, F&& f) {
  if (x.type == FloatType::bfloat16) {
    f(static_cast<bf16*>(x.data));
  } else {
    f(static_cast<float*>(x.data));
  }
}

template <class F>
[[gnu::always_inline]] inline void with_type(const ConstKeyValueRows& x, F&& f) {
  if (x.type == KeyValueType::int8) return f(static_cast<const std::int8_t*>(x.data));
  if (x.type == KeyValueType::bfloat16) return f(static_cast<const bf16*>(x.data));
  f(static_cast<const float*>(x.data));
}

// What the n elements of a row stand for is this times them, with `factor`: of int8 the scale lies behind the row.
template <class T>
[[gnu::always_inline]] inline float factor_of(const T*, Index, float factor) {
  return factor;
}
[[gnu::always_inline]] inline float factor_of(const std::int8_t* row, Index n, float factor) {
  float scale;
  __builtin_memcpy(&scale, row + n, sizeof scale);
  return factor * scale;
}

// factor * (n floats), zeros up to the next whole vector.
template <class T>
[[gnu::always_inline]] inline void pack_row(float* out, const T* x, Index n, float factor) {
  Index d = 0;
  for (; d + kWidth <= n; d += kWidth) store(out + d, F32(factor) * load(x + d));
  if (d < n) store(out + d, F32(factor) * load_partial(x + d, n - d));
}

template <class T>
[[gnu::always_inline]] inline void unpack_row(T* out, const float* x, Index n, float factor) {
  Index d = 0;
  for (; d + kWidth <= n; d += kWidth) store(out + d, F32(factor) * load(x + d));
  if (d < n) store_partial(out + d, F32(factor) * load(x + d), n - d);
}

}  // namespace
}  // namespace loglog::kernels
