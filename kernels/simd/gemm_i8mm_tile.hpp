// The register tile of int8 products with SMMLA: a 2 x 2 block of sums += 2 rows x 8 steps of A times 8 steps x 2 columns
// of B, both read as they are packed in groups of 8.
#pragma once
#include <arm_neon.h>

#include "kernels/simd/gemm_tile.hpp"
#include "kernels/simd/peak_loops.hpp"
#include "kernels/table.hpp"

#if defined(__ARM_FEATURE_MATMUL_INT8)

namespace loglog::kernels {
namespace {

constexpr int kI8mmGroup = 8;
constexpr int kColumnPairs = kGemmNr / 2;
static_assert(kGemmMr % 2 == 0, "rows go in pairs");

template <int ROWS>
void i8mm_tile(const PackedStrip<std::int8_t, std::int32_t>& s, const std::int8_t* a,
               std::int32_t* c) noexcept {
  constexpr int kRowPairs = (ROWS + 1) / 2;  // a last row without a partner has zeros beside it
  int32x4_t blocks[kRowPairs][kColumnPairs];
  unroll<kRowPairs>([&](auto i) { unroll<kColumnPairs>([&](auto j) { blocks[i][j] = vdupq_n_s32(0); }); });
  const std::int8_t* b = s.b;
  for (Index q = 0; q < s.groups; ++q, a += kGemmMr * kI8mmGroup, b += kGemmNr * kI8mmGroup) {
    int8x16_t columns[kColumnPairs];
    unroll<kColumnPairs>([&](auto j) { columns[j] = vld1q_s8(b + j * 2 * kI8mmGroup); });
    unroll<kRowPairs>([&](auto i) {
      const int8x16_t rows = vld1q_s8(a + i * 2 * kI8mmGroup);
      unroll<kColumnPairs>([&](auto j) { blocks[i][j] = vmmlaq_s32(blocks[i][j], rows, columns[j]); });
    });
  }
  // Row by row: the upper or the lower halves of two neighbouring blocks.
  TileSums<std::int32_t, ROWS> sums;
  unroll<ROWS>([&](auto i) {
    unroll<kGemmNv>([&](auto j) {
      const int64x2_t left = vreinterpretq_s64_s32(blocks[i / 2][2 * j]);
      const int64x2_t right = vreinterpretq_s64_s32(blocks[i / 2][2 * j + 1]);
      sums[i][j] = Vec<std::int32_t>(
          vreinterpretq_s32_s64(i % 2 == 0 ? vtrn1q_s64(left, right) : vtrn2q_s64(left, right)));
    });
  });
  store_tile<std::int32_t, ROWS>(sums, s, c);
}

void i8mm_strip(const PackedStrip<std::int8_t, std::int32_t>& s) noexcept {
  LOGLOG_DCHECK(s.m >= 1 && s.groups >= 1 && s.n >= 1 && s.n <= kGemmNr);
  const auto* a = static_cast<const std::int8_t*>(s.a);
  const Index panel = kGemmMr * s.groups * kI8mmGroup;
  std::int32_t* c = s.c;
  Index i = 0;
  for (; i + kGemmMr <= s.m; i += kGemmMr, a += panel, c += kGemmMr * s.c_row) i8mm_tile<kGemmMr>(s, a, c);
  last_rows<kGemmMr - 1>(s.m - i, [&](auto rows) { i8mm_tile<decltype(rows)::value>(s, a, c); });
}

constexpr GemmS8 i8mm_gemm() {
  return {.mr = kGemmMr,
          .row_multiple = kGemmMr,
          .nr = kGemmNr,
          .group = kI8mmGroup,
          .depth_multiple = kI8mmGroup,
          .blocks = kVectorBlocks,
          .packed_a = PackedA::groups,
          .reads_a_in_place = false,
          .b_plus_128 = false,
          .subnormals = Subnormals::kept,
          .strip = i8mm_strip,
          .row_compensation = [](std::int32_t*, ConstMatrix<std::int8_t>) noexcept {},
          .epilogue = float_epilogue,
          .begin = []() noexcept {},
          .end = []() noexcept {}};
}

// Independent chains of SMMLA of ones, from 0, for peak.hpp.
float i8mm_peak(Index iterations) noexcept {
  std::int8_t ones[2 * kI8mmGroup];
  for (auto& one : ones) one = 1;
  forget(ones);
  const int8x16_t pair = vld1q_s8(ones);
  int32x4_t sums[kPeakChains];
  unroll<kPeakChains>([&](auto i) { sums[i] = vdupq_n_s32(0); });
  for (Index n = 0; n < iterations; ++n)
    unroll<kPeakChains>([&](auto i) { sums[i] = vmmlaq_s32(sums[i], pair, pair); });
  unroll<kPeakChains - 1>([&](auto i) { sums[0] = vaddq_s32(sums[0], sums[i + 1]); });
  return static_cast<float>(vaddvq_s32(sums[0]));
}

constexpr PeakLoop i8mm_loop() {
  return {2 * kPeakChains * 2 * 2 * kI8mmGroup, i8mm_peak};
}

}  // namespace
}  // namespace loglog::kernels

#endif
