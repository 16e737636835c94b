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

// c[0] x^(N - 1) + ... + c[N - 1], by Horner's rule.
template <int N>
[[gnu::always_inline]] inline F32 polynomial(F32 x, const float (&c)[N]) {
  F32 p(c[0]);
  unroll<N - 1>([&](auto i) { p = muladd(p, x, F32(c[i + 1])); });
  return p;
}

// 2^n for n in -126..127, as exponent bits.
[[gnu::always_inline]] inline F32 power_of_two(I32 n) {
  return float_of(shift_left(n + I32(127), 23));
}

// Adding it leaves the nearest integer in the low bits of the mantissa, zeros above them.
constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23
// The same, with the bias of an exponent on top: these bits, shifted to their place, are 2^n.
constexpr float kToExponent = kToInteger + 127.0f;

constexpr double kLog2e = 1.4426950408889634;

// y 2^n for y and results that are normal, n = what is left in `shifted`: two additions of integers, off the multipliers.
[[gnu::always_inline]] inline F32 scaled(F32 y, F32 shifted) {
  return float_of(bits_of(y) + shift_left(bits_of(shifted), 23));
}

// e^x. 2 ULP; overflows to infinity, underflows gradually to 0. x = n ln 2 + r with |r| <= ln 2 / 2.
[[gnu::always_inline]] inline F32 exp(F32 x) {
  const F32 held = clamp(x, -105.0f, 89.0f);
  const F32 shifted = muladd(held, F32(1.44269504088896341f), F32(kToExponent));
  const F32 n = shifted - F32(kToExponent);
  // ln 2 in two parts; the first has 9 bits, so n times it is exact.
  F32 r = muladd(n, F32(-0.693359375f), held);
  r = muladd(n, F32(2.12194440e-4f), r);
  const F32 p = polynomial(r, {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,
                               1.6666665459e-1f, 5.0000001201e-1f});
  const F32 exp_r = muladd(p, r * r, r) + F32(1.0f);
  // In two steps, because 2^n itself may be subnormal or too large.
  const I32 whole = bits_of(shifted) - bits_of(F32(kToExponent)), half = shift_right(whole, 1);
  return exp_r * power_of_two(half) * power_of_two(whole - half);
}

// 2^r, |r| <= 1/2.
[[gnu::always_inline]] inline F32 exp2_fraction(F32 r) {
  return polynomial(r, {1.535336188319500e-4f, 1.339887440266574e-3f, 9.618437357674640e-3f,
                        5.550332471162809e-2f, 2.402264791363012e-1f, 6.931472028550421e-1f, 1.0f});
}

// 2^t for t <= 127, as softmax needs it: e^(s d) is 2^(c d) with c = s log2(e), one product. 2 ULP; 0 below -126.5. A product
// with 2^n and not `scaled`, which makes a number of a NaN with low bits.
[[gnu::always_inline]] inline F32 exp2_softmax(F32 t) {
  const F32 held = max(F32(-127.0f), t), shifted = held + F32(kToExponent);
  const F32 r = held - (shifted - F32(kToExponent));
  return exp2_fraction(r) * float_of(shift_left(bits_of(shifted), 23));
}

// 2^t for t in -126..128. 2 ULP; infinity at 128; anything for a NaN. Cheaper than exp where the exponent comes from a product
// anyway: the factor log2(e) goes into the constants of that product, and t - n is exact.
[[gnu::always_inline]] inline F32 exp2(F32 t) {
  const F32 shifted = t + F32(kToInteger);
  const F32 r = t - (shifted - F32(kToInteger));
  return scaled(exp2_fraction(r), shifted);
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
  const F32 p = polynomial(
      m, {7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
          -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f});
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
  const F32 p = polynomial(
      z, {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f});
  const F32 small = muladd(p * z, x, x);
  const F32 magnitude = abs(x);
  const F32 large = F32(1.0f) - F32(2.0f) / (exp(magnitude + magnitude) + F32(1.0f));
  return select(magnitude < F32(0.625f), small, select(x < F32(0.0f), -large, large));
}

// GELU's tanh form and SiLU are x / (1 + e^-z), since 0.5 (1 + tanh(y)) = 1 / (1 + e^-2y): one exponential, and no
// cancellation for negative x. With s = 1 / (1 + e^-z) their derivative is s + x z' s (1 - s). -z is in units of ln 2.
constexpr double kGeluLinear = 1.5957691216057308;  // 2 sqrt(2/pi)
constexpr double kGeluCubic = kGeluLinear * 0.044715;
constexpr auto kGeluLinear2 = static_cast<float>(-kGeluLinear * kLog2e);
constexpr auto kGeluCubic2 = static_cast<float>(-kGeluCubic * kLog2e);
constexpr auto kGeluSlope = static_cast<float>(kGeluLinear),
               kGeluSlopeSquare = static_cast<float>(3.0 * kGeluCubic);
constexpr auto kSiluLinear2 = static_cast<float>(-kLog2e);

struct ValueAndSlope {
  F32 value, slope;
};
// x s and its derivative from one exponential and one quotient; `held` is x as far as it matters to s. Held at 2^+-115, e is
// finite and s normal; beyond, s is 0 or 1 to the last bit, and a value that should be 0 is |held| 2^-115.
[[gnu::always_inline]] inline ValueAndSlope value_and_slope(F32 x, F32 held, F32 z_slope, F32 t) {
  const F32 e = exp2(clamp(t, -115.0f, 115.0f));
  const F32 s = F32(1.0f) / (F32(1.0f) + e);
  return {max(held, x) * s, muladd(held * z_slope * s, e * s, s)};
}

// z = x (2 sqrt(2/pi)) (1 + 0.044715 x^2)
[[gnu::always_inline]] inline ValueAndSlope gelu(F32 x) {
  const F32 held = clamp(x, -16.0f, 16.0f);  // holds every factor finite; beyond, nothing changes
  const F32 square = held * held;
  const F32 t = held * muladd(square, F32(kGeluCubic2), F32(kGeluLinear2));
  return value_and_slope(x, held, muladd(square, F32(kGeluSlopeSquare), F32(kGeluSlope)), t);
}

// z = x
[[gnu::always_inline]] inline ValueAndSlope silu(F32 x) {
  const F32 held = clamp(x, -80.0f, 80.0f);
  return value_and_slope(x, held, F32(1.0f), held * F32(kSiluLinear2));
}

// GELU's own form, x Phi(x). With a = |x|, the small side of Phi is Phi(-a) = e^(-a^2/2) t q(t), t = 1 / (1 + a/4): nothing cancels, so
// it is accurate relative to itself down to where e^(-a^2/2) is taken as 0 (2^-126.5, a = 13.2). q is minimax to 7.7e-9 relative
// (tests/reference/normal_tail.py).
struct NormalTail {
  F32 density;  // e^(-x^2/2)
  F32 tail;     // Phi(-|x|)
};
constexpr auto kHalfSquare2 = static_cast<float>(-0.5 * kLog2e);
constexpr float kNormalPeak = 0.39894228f;  // 1 / sqrt(2 pi)

[[gnu::always_inline]] inline NormalTail normal_tail(F32 x) {
  const F32 density = exp2_softmax(x * x * F32(kHalfSquare2));
  const F32 t = F32(1.0f) / muladd(abs(x), F32(0.25f), F32(1.0f));
  const F32 q =
      polynomial(t, {1.623552120e-2f, -6.086326444e-2f, 4.695551574e-2f, 3.494602832e-2f, 7.060725179e-3f,
                     8.983727112e-2f, 7.084087600e-2f, 9.577873561e-2f, 9.945883258e-2f, 9.974976253e-2f});
  return {density, density * (t * q)};
}
// (x Phi(x))' = Phi(x) + x Phi'(x); x held where both factors of the tail are 0 beyond, so that infinity times 0 does not come up.
[[gnu::always_inline]] inline ValueAndSlope gelu_erf(F32 x) {
  const F32 held = clamp(x, -16.0f, 16.0f);
  const NormalTail n = normal_tail(held);
  const F32 small = held * n.tail;  // x Phi(x) where x < 0, x (1 - Phi(x)) elsewhere
  const auto negative = x < F32(0.0f);
  const F32 phi = select(negative, n.tail, F32(1.0f) - n.tail);
  return {select(negative, small, x - small), muladd(held * n.density, F32(kNormalPeak), phi)};
}

}  // namespace
}  // namespace loglog::kernels
