// Loops that do nothing but what they measure, see peak.hpp.
#pragma once
#include "kernels/simd/dot/dot.hpp"
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

// What B holds in peak_dot: int8 doubles or triples until it wraps, float sums are halved.
constexpr std::int8_t dot_factor(std::int8_t) {
  return 1;
}
constexpr bf16 dot_factor(bf16) {
  return to_bf16(-0.5f);
}

// Memory that a compiler must take for changed, so that it does not compute beforehand, or once for all chains.
inline void forget(void* p) noexcept {
  asm volatile("" : : "r"(p) : "memory");
}

// Two instructions per product want registers in between: with all chains the compiler keeps some in memory.
template <class Dot>
constexpr int kDotChains = Dot::kParts == 1 ? kPeakChains : LOGLOG_REGISTERS / 2;

// Chains of dot products of dot/. Each takes itself for A: where the instruction that multiplies is not the one that adds, the
// first would else be taken out of the loop.
template <class Dot>
float peak_dot(Index iterations) noexcept {
  using Sum = typename Dot::Sum;
  constexpr int kChains = kDotChains<Dot>;
  using A = decltype(Dot::a(nullptr));
  using B = decltype(Dot::template b<0>(nullptr));
  alignas(64) typename Dot::B factors[kWidth * Dot::kGroup];
  for (auto& factor : factors) factor = dot_factor(typename Dot::B{});
  forget(factors);
  B b[Dot::kParts];
  unroll<Dot::kParts>([&](auto part) { b[part] = Dot::template b<part>(factors); });
  alignas(64) Sum ones[kWidth];
  store(ones, Vec<Sum>(Sum{1}));
  Vec<Sum> x[kChains];
  unroll<kChains>([&](auto i) {
    forget(ones);
    x[i] = load(ones);
  });
  for (Index n = 0; n < iterations; ++n) {
    unroll<kChains>([&](auto i) {
      const A a = __builtin_bit_cast(A, x[i]);
      unroll<Dot::kParts>([&](auto part) { x[i] = Dot::add(x[i], a, b[part]); });
    });
  }
  unroll<kChains - 1>([&](auto i) { x[0] = x[0] + x[i + 1]; });
  return static_cast<float>(reduce_add(x[0]));
}

template <class Dot>
constexpr PeakLoop dot_loop() {
  return {2 * kDotChains<Dot> * kWidth * Dot::kGroup, peak_dot<Dot>};
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

// One vector at a time, asked for ahead: on a Xeon 28 GB/s, 21 without, 18 by four vectors at once.
void peak_copy_streamed(float* out, const float* in, Index n) noexcept {
  for (Index p = 0; p + kWidth <= n; p += kWidth) {
    prefetch_ahead(in + p, 1);
    stream(out + p, load(in + p));
  }
  stream_fence();
}

constexpr PeakLoop kFmaLoop = {2 * kPeakChains * kWidth, peak_fma};

constexpr Peak peak_of(PeakLoop dot_bf16, PeakLoop dot_s8) {
  return {.fma = kFmaLoop,
          .dot_bf16 = dot_bf16,
          .dot_s8 = dot_s8,
          .read = peak_read,
          .copy = peak_copy,
          .copy_streamed = peak_copy_streamed};
}

}  // namespace
}  // namespace loglog::kernels
