// What the vector rung of the attention ladder takes from rung 3, in vectors: the step of the online softmax and the weighted
// sum of values.
#pragma once
#include "kernels/simd/ladder/panels.hpp"
#include "kernels/simd/math.hpp"

namespace loglog::kernels::ladder {
namespace {

constexpr int kKeys = 64;       // of a block; whole vectors on every ISA
constexpr int kOutVectors = 4;  // of D whose sums are made side by side

// The step of rung 3 on a vector at a time: `visible` of kKeys scores at p become weights, which are added to `sum`. Returns the
// factor for what was summed before.
inline float softmax_step(float* p, Index visible, float scale, bool first, float& maximum, float& sum) {
  float largest = first ? scale * p[0] : maximum;
  for (Index x = 0; x < visible; ++x) largest = scale * p[x] > largest ? scale * p[x] : largest;
  const Vec<float> log2e(static_cast<float>(kLog2e));
  const float factor = first ? 0.0f : first_lane(exp2_softmax(log2e * Vec<float>(maximum - largest)));
  for (Index x = visible; x < kKeys; ++x) p[x] = -__builtin_inff();
  Vec<float> total(0.0f);
  for (int x = 0; x < kKeys; x += kWidth) {
    const Vec<float> e = exp2_softmax(log2e * (Vec<float>(scale) * load(p + x) - Vec<float>(largest)));
    store(p + x, e);
    total = total + e;
  }
  maximum = largest;
  sum = (first ? 0.0f : factor * sum) + reduce_add(total);
  return factor;
}

// out = factor * out + p V over `keys` rows of V
inline void add_values(float* out, float factor, const float* p, Index keys, const float* v, Index D) {
  for (Index d = 0; d < D; d += kOutVectors * kWidth) {
    Vec<float> sums[kOutVectors];
    const auto width = [&](auto x) { return D - d - x * kWidth; };
    unroll<kOutVectors>(
        [&](auto x) { sums[x] = Vec<float>(factor) * load_columns(out + d + x * kWidth, width(x)); });
    for (Index s = 0; s < keys; ++s)
      unroll<kOutVectors>([&](auto x) {
        sums[x] = muladd(Vec<float>(p[s]), load_columns(v + s * D + d + x * kWidth, width(x)), sums[x]);
      });
    unroll<kOutVectors>([&](auto x) { store_columns(out + d + x * kWidth, sums[x], width(x)); });
  }
}

}  // namespace
}  // namespace loglog::kernels::ladder
