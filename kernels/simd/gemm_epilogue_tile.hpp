// The epilogue of a strip of C, after its last K block and while it is still in L1.
#pragma once
#include "kernels/simd/math.hpp"
#include "kernels/simd/rowwise/activation_tiles.hpp"
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// A vector of a row, or the first elements of one.
template <class T>
[[gnu::always_inline]] inline Vec<float> load_up_to(const T* p, Index n) {
  return n >= kWidth ? load(p) : load_partial(p, n);
}
[[gnu::always_inline]] inline void store_up_to(float* p, Vec<float> v, Index n) {
  if (n >= kWidth) return store(p, v);
  store_partial(p, v, n);
}
[[gnu::always_inline]] inline void store_up_to(bf16* p, Vec<float> v, Index n) {
  if (n >= kWidth) return store_flushing(p, v);
  alignas(64) bf16 lanes[kWidth];
  store_flushing(lanes, v);
  for (Index i = 0; i < n; ++i) p[i] = lanes[i];
}

template <class Act, class T>
void epilogue_of(const EpilogueStrip& e) noexcept {
  for (Index i = 0; i < e.m; ++i) {
    const float* const sums = e.sums + i * e.sums_row;
    const float* const residual = e.residual == nullptr ? nullptr : e.residual + i * e.residual_row;
    const auto row = [i](const auto& x) { return static_cast<T*>(x.data) + i * x.row_stride; };
    T* const out = row(e.out);
    T* const slope = e.slope.data == nullptr ? nullptr : row(e.slope);
    const T* const factor =
        e.factor.data == nullptr ? nullptr : static_cast<const T*>(e.factor.data) + i * e.factor.row_stride;
    for (Index j = 0; j < e.n; j += kWidth) {
      const Index left = e.n - j;
      Vec<float> x = load_up_to(sums + j, left);
      if (e.bias != nullptr) x = x + load_up_to(e.bias + j, left);
      const ValueAndSlope act = Act::of(x);
      if (slope != nullptr) store_up_to(slope + j, act.slope, left);
      x = act.value;
      if (factor != nullptr) x = x * load_up_to(factor + j, left);
      if (residual != nullptr) x = x + load_up_to(residual + j, left);
      store_up_to(out + j, x, left);
    }
  }
}

template <class Act>
void epilogue_with(const EpilogueStrip& e) noexcept {
  e.out.type == FloatType::float32 ? epilogue_of<Act, float>(e) : epilogue_of<Act, bf16>(e);
}

void float_epilogue(const EpilogueStrip& e) noexcept {
  switch (e.activation) {
    case Activation::identity:
      return epilogue_with<Identity>(e);
    case Activation::relu:
      return epilogue_with<Relu>(e);
    case Activation::gelu:
      return epilogue_with<Gelu>(e);
    case Activation::silu:
      return epilogue_with<Silu>(e);
    case Activation::gelu_erf:
      return epilogue_with<GeluErf>(e);
  }
}

}  // namespace
}  // namespace loglog::kernels
