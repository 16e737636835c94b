// The register tile of products of packed operands: MR x NV vectors of sums, as in gemm_tile.hpp, with a short dot product
// (dot/) in place of a multiply-add.
#pragma once
#include "kernels/simd/dot/dot.hpp"
#include "kernels/simd/gemm_tile.hpp"

namespace loglog::kernels {
namespace {

template <class Dot>
using StripOf = PackedStrip<typename Dot::B, typename Dot::Sum>;

// Four bytes of 1.
constexpr std::int32_t kOneOfEach = 0x01010101;

// What the sums of each column start from.
template <class Sum>
struct TileStart {
  Vec<Sum> columns[kGemmNv];
};

// Zero; where A has 128 added to it, -128 times the sum of the column over the strip's groups.
template <class Dot>
TileStart<typename Dot::Sum> tile_start(const StripOf<Dot>& s) noexcept {
  using Sum = typename Dot::Sum;
  TileStart<Sum> start;
  unroll<kGemmNv>([&](auto j) { start.columns[j] = Vec<Sum>(Sum{0}); });
  if constexpr (Dot::kPackedA == PackedA::offset) {
    const auto ones = Vec<Sum>(kOneOfEach);
    const typename Dot::B* b = s.b;
    for (Index q = 0; q < s.groups; ++q, b += kGemmNr * Dot::kGroup) {
      unroll<kGemmNv>([&](auto j) {
        start.columns[j] = Dot::add(start.columns[j], ones, Dot::template b<0>(b + j * kWidth * Dot::kGroup));
      });
    }
    unroll<kGemmNv>([&](auto j) { start.columns[j] = Vec<Sum>(Sum{0}) - shift_left(start.columns[j], 7); });
  }
  return start;
}

// Every element is one chain over the groups of depth, in ascending order, for every ROWS. PANEL: rows of the panel of A. Where
// kSumsColumns, the tile ignores `start` and sums B's columns on its way, so that the only tile of a strip reads B once.
template <class Dot, int ROWS, int PANEL, bool kSumsColumns = false>
void packed_tile(const StripOf<Dot>& s, const TileStart<typename Dot::Sum>& start, const typename Dot::A* a,
                 typename Dot::Sum* c) noexcept {
  using Sum = typename Dot::Sum;
  constexpr Index kUnit = 4 / sizeof(typename Dot::A);  // elements of A that one part of one row takes
  TileSums<Sum, ROWS> sums;
  unroll<ROWS>([&](auto i) {
    unroll<kGemmNv>([&](auto j) {
      sums[i][j] = kSumsColumns ? Vec<Sum>(Sum{0}) : start.columns[j];
      __builtin_prefetch(c + i * s.c_row + j * kWidth, 1);
    });
  });
  Vec<Sum> columns[kGemmNv];
  if constexpr (kSumsColumns) unroll<kGemmNv>([&](auto j) { columns[j] = Vec<Sum>(Sum{0}); });
  const typename Dot::B* b = s.b;
  for (Index q = 0; q < s.groups; ++q, b += kGemmNr * Dot::kGroup) {
    unroll<Dot::kParts>([&](auto part) {
      decltype(Dot::template b<part>(b)) b_row[kGemmNv];
      unroll<kGemmNv>([&](auto j) { b_row[j] = Dot::template b<part>(b + j * kWidth * Dot::kGroup); });
      unroll<ROWS>([&](auto i) {
        const auto a_i = Dot::a(a + i * kUnit);
        unroll<kGemmNv>([&](auto j) { sums[i][j] = Dot::add(sums[i][j], a_i, b_row[j]); });
      });
      if constexpr (kSumsColumns)
        unroll<kGemmNv>([&](auto j) { columns[j] = Dot::add(columns[j], Vec<Sum>(kOneOfEach), b_row[j]); });
      a += PANEL * kUnit;
    });
  }
  if constexpr (kSumsColumns) {
    unroll<ROWS>([&](auto i) {
      unroll<kGemmNv>([&](auto j) { sums[i][j] = sums[i][j] - shift_left(columns[j], 7); });
    });
  }
  store_tile<Sum, ROWS>(sums, s, c);
}

template <class Dot>
void packed_strip(const StripOf<Dot>& s) noexcept {
  LOGLOG_DCHECK(s.m >= 1 && s.groups >= 1 && s.n >= 1 && s.n <= kGemmNr);
  using Sum = typename Dot::Sum;
  const auto* a = static_cast<const typename Dot::A*>(s.a);
  const Index panel = Dot::kMr * s.groups * Dot::kParts * 4 / static_cast<Index>(sizeof(typename Dot::A));
  Sum* c = s.c;
  if (s.m < Dot::kMr) {
    return last_rows<Dot::kMr - 1>(s.m, [&](auto rows) {
      constexpr int kRows = decltype(rows)::value;
      // The sums of columns take registers from those of rows.
      constexpr bool kSumsColumns = Dot::kPackedA == PackedA::offset && kRows <= Dot::kMr - 2;
      packed_tile<Dot, kRows, kRows, kSumsColumns>(s, kSumsColumns ? TileStart<Sum>{} : tile_start<Dot>(s), a,
                                                   c);
    });
  }
  const auto start = tile_start<Dot>(s);
  Index i = 0;
  for (; i + Dot::kMr <= s.m; i += Dot::kMr, a += panel, c += Dot::kMr * s.c_row)
    packed_tile<Dot, Dot::kMr, Dot::kMr>(s, start, a, c);
  last_rows<Dot::kMr - 1>(
      s.m - i, [&](auto rows) { packed_tile<Dot, decltype(rows)::value, Dot::kMr>(s, start, a, c); });
}

template <class Dot>
constexpr PackedGemm<typename Dot::B, typename Dot::Sum> packed_gemm() {
  return {.mr = Dot::kMr,
          .row_multiple = 1,
          .nr = kGemmNr,
          .group = Dot::kGroup,
          .depth_multiple = Dot::kGroup,
          .packed_a = Dot::kPackedA,
          .subnormals = Dot::kSubnormals,
          .strip = packed_strip<Dot>,
          .begin = []() noexcept {},
          .end = []() noexcept {}};
}

}  // namespace
}  // namespace loglog::kernels
