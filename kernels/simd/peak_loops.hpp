// Loops that do nothing but what they measure, see peak.hpp.
#pragma once
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Independent chains: latency 4 times two to four pipes must fit, and all must stay in registers.
constexpr int kPeakChains = LOGLOG_REGISTERS - 4;

// x = x/2 + 1 tends to 2: neither overflow nor subnormals slow it down.
float peak_fma(Index iterations) noexcept {
  const Vec<float> factor(0.5f), term(1.0f);
  Vec<float> x[kPeakChains];
  unroll<kPeakChains>([&](auto i) { x[i] = Vec<float>(static_cast<float>(i)); });
  for (Index n = 0; n < iterations; ++n) {
    unroll<kPeakChains>([&](auto i) { x[i] = muladd(x[i], factor, term); });
  }
  unroll<kPeakChains - 1>([&](auto i) { x[0] = x[0] + x[i + 1]; });
  return reduce_add(x[0]);
}

// Eight loads in flight; the sum keeps them from being dropped. n is rounded down to whole steps.
float peak_read(const float* in, Index n) noexcept {
  constexpr int kLoads = 8;
  Vec<float> sums[kLoads];
  unroll<kLoads>([&](auto i) { sums[i] = Vec<float>(0.0f); });
  for (Index p = 0; p + kLoads * kWidth <= n; p += kLoads * kWidth) {
    unroll<kLoads>([&](auto i) { sums[i] = sums[i] + load(in + p + i * kWidth); });
  }
  unroll<kLoads - 1>([&](auto i) { sums[0] = sums[0] + sums[i + 1]; });
  return reduce_add(sums[0]);
}

void peak_copy(float* out, const float* in, Index n) noexcept {
  constexpr int kLoads = 4;
  for (Index p = 0; p + kLoads * kWidth <= n; p += kLoads * kWidth) {
    unroll<kLoads>([&](auto i) { store(out + p + i * kWidth, load(in + p + i * kWidth)); });
  }
}

void peak_copy_streamed(float* out, const float* in, Index n) noexcept {
  constexpr int kLoads = 4;
  for (Index p = 0; p + kLoads * kWidth <= n; p += kLoads * kWidth) {
    unroll<kLoads>([&](auto i) { stream(out + p + i * kWidth, load(in + p + i * kWidth)); });
  }
  stream_fence();
}

constinit const Peak kPeak = {
    .flops_per_iteration = 2 * kPeakChains * kWidth,
    .fma = peak_fma,
    .read = peak_read,
    .copy = peak_copy,
    .copy_streamed = peak_copy_streamed,
};

}  // namespace
}  // namespace loglog::kernels
