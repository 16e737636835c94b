// Elementary functions on vectors: range reduction and a polynomial, a few ULP, no tables, no library calls.
//
// Polynomials: S. Moshier, Cephes Math Library (single precision), minimax on the reduced interval. Errors
// measured against float64 in tests/kernels/test_math.cpp, which fails above the ULP that stand here. Special
// values are IEEE's: NaN in, NaN out.
#pragma once
#include "kernels/simd/simd.hpp"

namespace loglog::kernels {
namespace {

using F32 = Vec<float>;
using I32 = Vec<std::int32_t>;

// Argument order matters: min and max return their second argument when one is NaN, so x stays last.
[[gnu::always_inline]] inline F32 clamp(F32 x, float low, float high) {
  return min(F32(high), max(F32(low), x));
}

// 2^n for n in -126..127, as exponent bits.
[[gnu::always_inline]] inline F32 power_of_two(I32 n) {
  return float_of(shift_left(n + I32(127), 23));
}

// x = n ln 2 + r with |r| <= ln 2 / 2, and exp(r).
struct ReducedExp {
  I32 n;
  F32 exp_r;
};
[[gnu::always_inline]] inline ReducedExp reduce_exp(F32 x) {
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the mantissa.
  const F32 magic(12582912.0f);
  const F32 shifted = muladd(x, F32(1.44269504088896341f), magic);
  const F32 n = shifted - magic;
  // ln 2 in two parts; the first has 9 bits, so n times it is exact.
  F32 r = muladd(n, F32(-0.693359375f), x);
  r = muladd(n, F32(2.12194440e-4f), r);
  F32 p(1.9875691500e-4f);
  p = muladd(p, r, F32(1.3981999507e-3f));
  p = muladd(p, r, F32(8.3334519073e-3f));
  p = muladd(p, r, F32(4.1665795894e-2f));
  p = muladd(p, r, F32(1.6666665459e-1f));
  p = muladd(p, r, F32(5.0000001201e-1f));
  return {bits_of(shifted) - bits_of(magic), muladd(p, r * r, r) + F32(1.0f)};
}

// e^x. 2 ULP; overflows to infinity, underflows gradually to 0.
[[gnu::always_inline]] inline F32 exp(F32 x) {
  const ReducedExp e = reduce_exp(clamp(x, -105.0f, 89.0f));
  // In two steps, because 2^n itself may be subnormal or too large.
  const I32 half = shift_right(e.n, 1);
  return e.exp_r * power_of_two(half) * power_of_two(e.n - half);
}

// e^x for x <= 88, as softmax needs it. 2 ULP; 0 below -87, where e^x < 2^-125.
[[gnu::always_inline]] inline F32 exp_softmax(F32 x) {
  const ReducedExp e = reduce_exp(max(F32(-87.5f), x));
  return select(x < F32(-87.0f), F32(0.0f), e.exp_r * power_of_two(e.n));
}

// Natural logarithm. 2 ULP; -inf at 0, NaN below.
[[gnu::always_inline]] inline F32 log(F32 x) {
  const F32 smallest_normal(0x1p-126f), infinity(__builtin_inff()), nan(__builtin_nanf(""));
  const auto tiny = x < smallest_normal;
  const F32 scaled = select(tiny, x * F32(0x1p23f), x);
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) lets the exponent field carry over.
  const I32 offset = bits_of(scaled) - I32(0x3f3504f3);
  const F32 e = to_float(shift_right(offset, 23)) - select(tiny, F32(23.0f), F32(0.0f));
  const F32 m = float_of((offset & I32(0x007fffff)) + I32(0x3f3504f3)) - F32(1.0f);
  const F32 z = m * m;
  F32 p(7.0376836292e-2f);
  p = muladd(p, m, F32(-1.1514610310e-1f));
  p = muladd(p, m, F32(1.1676998740e-1f));
  p = muladd(p, m, F32(-1.2420140846e-1f));
  p = muladd(p, m, F32(1.4249322787e-1f));
  p = muladd(p, m, F32(-1.6668057665e-1f));
  p = muladd(p, m, F32(2.0000714765e-1f));
  p = muladd(p, m, F32(-2.4999993993e-1f));
  p = muladd(p, m, F32(3.3333331174e-1f));
  F32 y = p * m * z;
  y = muladd(e, F32(-2.12194440e-4f), y);
  y = muladd(z, F32(-0.5f), y);
  y = muladd(e, F32(0.693359375f), m + y);
  y = select(x == F32(0.0f), -infinity, y);
  y = select(x < F32(0.0f), nan, y);
  return select(x < infinity, y, x);  // infinity and NaN return themselves
}

// 2 ULP. Below 0.625 a polynomial in x^2; above, where 1 - tanh is the small part, through exp.
[[gnu::always_inline]] inline F32 tanh(F32 x) {
  const F32 z = x * x;
  F32 p(-5.70498872745e-3f);
  p = muladd(p, z, F32(2.06390887954e-2f));
  p = muladd(p, z, F32(-5.37397155531e-2f));
  p = muladd(p, z, F32(1.33314422036e-1f));
  p = muladd(p, z, F32(-3.33332819422e-1f));
  const F32 small = muladd(p * z, x, x);
  const F32 magnitude = abs(x);
  const F32 large = F32(1.0f) - F32(2.0f) / (exp(magnitude + magnitude) + F32(1.0f));
  return select(magnitude < F32(0.625f), small, select(x < F32(0.0f), -large, large));
}

// GELU's tanh form, through 0.5 (1 + tanh(y)) = 1 / (1 + e^(-2y)): one exp, and no cancellation for negative x.
constexpr float kGeluLinear = 1.5957691216057308f;  // 2 sqrt(2/pi)
constexpr float kGeluCubic = 0.07135481627260025f;  // 2 sqrt(2/pi) * 0.044715

// gelu(x) = x / (1 + e^-z), z = x (2 sqrt(2/pi)) (1 + 0.044715 x^2).
[[gnu::always_inline]] inline F32 gelu(F32 x) {
  const F32 z = x * muladd(x * x, F32(kGeluCubic), F32(kGeluLinear));
  return x / (F32(1.0f) + exp(-z));
}

// gelu'(x) = s + x z' s (1 - s) with s = 1 / (1 + e^-z). The clamps hold every factor finite; beyond them the
// result is 0 or 1 to the last bit.
[[gnu::always_inline]] inline F32 gelu_derivative(F32 x) {
  const F32 c = clamp(x, -16.0f, 16.0f);
  const F32 square = c * c;
  const F32 z = clamp(c * muladd(square, F32(kGeluCubic), F32(kGeluLinear)), -80.0f, 80.0f);
  const F32 slope = muladd(square, F32(3.0f * kGeluCubic), F32(kGeluLinear));
  const F32 e = exp(-z);
  const F32 s = F32(1.0f) / (F32(1.0f) + e);
  return muladd(c * slope * s, e * s, s);
}

// silu(x) = x / (1 + e^-x), and its derivative s + x s (1 - s) with s = 1 / (1 + e^-x), in range as above.
[[gnu::always_inline]] inline F32 silu(F32 x) {
  return x / (F32(1.0f) + exp(-x));
}
[[gnu::always_inline]] inline F32 silu_derivative(F32 x) {
  const F32 c = clamp(x, -80.0f, 80.0f);
  const F32 e = exp(-c);
  const F32 s = F32(1.0f) / (F32(1.0f) + e);
  return muladd(c * s, e * s, s);
}

}  // namespace
}  // namespace loglog::kernels
