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
template <class T>
[[gnu::always_inline]] inline void store_up_to(T* p, Vec<float> v, Index n) {
  if (n >= kWidth) return store(p, v);
  store_partial(p, v, n);
}
[[gnu::always_inline]] inline Vec<float> load_up_to(const ConstFloatRows& x, Index row, Index col, Index n) {
  const Index at = row * x.row_stride + col;
  if (x.type == FloatType::float32) return load_up_to(static_cast<const float*>(x.data) + at, n);
  return load_up_to(static_cast<const bf16*>(x.data) + at, n);
}
[[gnu::always_inline]] inline void store_up_to(const FloatRows& x, Index row, Index col, Vec<float> v,
                                               Index n) {
  const Index at = row * x.row_stride + col;
  if (x.type == FloatType::float32) return store_up_to(static_cast<float*>(x.data) + at, v, n);
  store_up_to(static_cast<bf16*>(x.data) + at, v, n);
}

template <class Act>
void epilogue_of(const EpilogueStrip& e) noexcept {
  for (Index i = 0; i < e.m; ++i) {
    const float* const sums = e.sums + i * e.sums_row;
    for (Index j = 0; j < e.n; j += kWidth) {
      const Index left = e.n - j;
      Vec<float> x = load_up_to(sums + j, left);
      if (e.bias != nullptr) x = x + load_up_to(e.bias + j, left);
      if (e.pre_activation.data != nullptr) store_up_to(e.pre_activation, i, j, x, left);
      if (e.slope_at.data != nullptr) {
        x = x * Act::both(load_up_to(e.slope_at, i, j, left)).slope;
      } else {
        x = Act::value(x);
      }
      if (e.residual != nullptr) x = x + load_up_to(e.residual + i * e.residual_row + j, left);
      store_up_to(e.out, i, j, x, left);
    }
  }
}

void gemm_f32_epilogue(const EpilogueStrip& e) noexcept {
  switch (e.activation) {
    case Activation::identity:
      return epilogue_of<Identity>(e);
    case Activation::relu:
      return epilogue_of<Relu>(e);
    case Activation::gelu:
      return epilogue_of<Gelu>(e);
    case Activation::silu:
      return epilogue_of<Silu>(e);
    case Activation::gelu_erf:
      return epilogue_of<GeluErf>(e);
  }
}

}  // namespace
}  // namespace loglog::kernels
