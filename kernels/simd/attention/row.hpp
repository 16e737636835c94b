// Rows of attention, of either type in memory and of float32 in scratch.
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
