// The register tile of products of packed operands: MR x NV vectors of sums, as in gemm_tile.hpp, with a short dot product
// (dot/) in place of a multiply-add.
#pragma once
#include "kernels/simd/dot/dot.hpp"
#include "kernels/simd/gemm_tile.hpp"

namespace loglog::kernels {
namespace {

template <class Dot>
using StripOf = PackedStrip<typename Dot::B, typename Dot::Sum>;

// Rows of A in a panel of PANEL of them.
template <class Dot, int PANEL>
struct PackedRows {
  static constexpr Index kUnit = 4 / sizeof(typename Dot::A);  // elements that one part of one row takes
  const typename Dot::A* a;
  [[gnu::always_inline]] auto unit(int i) const { return Dot::a(a + i * kUnit); }
  [[gnu::always_inline]] void next() { a += PANEL * kUnit; }
};

// Rows of A as they lie.
template <class Dot>
struct RowsInPlace {
  const typename Dot::B* a;
  Index row;
  [[gnu::always_inline]] auto unit(int i) const { return Dot::a(a + i * row); }
  [[gnu::always_inline]] void next() { a += Dot::kGroup; }
};

// Rows from `row` on. Every element is one chain over the groups of depth, in ascending order, for every ROWS.
// kStreams: as in gemm_tile.hpp. Flattened: with one call left in it, GCC 12 keeps all sums in memory.
template <class Dot, int ROWS, int NV, bool kStreams, class Rows>
[[gnu::flatten]] void packed_tile(const StripOf<Dot>& s, Index row, Rows rows,
                                  typename Dot::Sum* c) noexcept {
  using Sum = typename Dot::Sum;
  TileSums<Sum, ROWS, NV> sums;
  unroll<ROWS>([&](auto i) {
    Sum start{0};
    if constexpr (Dot::kBPlus128)
      start = s.row_compensation != nullptr ? s.row_compensation[row + i] : Sum{0};
    unroll<NV>([&](auto j) {
      sums[i][j] = Vec<Sum>(start);
      __builtin_prefetch(c + i * s.c_row + j * kWidth, 1);
    });
  });
  const typename Dot::B* b = s.b;
  for (Index q = 0; q < s.groups; ++q, b += kGemmNr * Dot::kGroup) {
    if constexpr (kStreams) prefetch_ahead(b, kGemmNr * Dot::kGroup);
    unroll<Dot::kParts>([&](auto part) {
      decltype(Dot::template b<part>(b)) b_row[NV];
      unroll<NV>([&](auto j) { b_row[j] = Dot::template b<part>(b + j * kWidth * Dot::kGroup); });
      unroll<ROWS>([&](auto i) {
        const auto a_i = rows.unit(i);
        unroll<NV>([&](auto j) { sums[i][j] = Dot::add(sums[i][j], a_i, b_row[j]); });
      });
      rows.next();
    });
  }
  store_tile<Sum, ROWS, StripOf<Dot>, NV>(sums, s, c);
}

// rows_at(panel, i): the rows from i on, in panels of so many (an integral_constant).
template <class Dot, int NV, class RowsAt>
void tiles_of_strip(const StripOf<Dot>& s, const RowsAt& rows_at) noexcept {
  if (s.m < Dot::kMr) {
    return last_rows<Dot::kMr - 1>(s.m, [&](auto rows) {
      packed_tile<Dot, decltype(rows)::value, NV, true>(s, 0, rows_at(rows, 0), s.c);
    });
  }
  constexpr std::integral_constant<int, Dot::kMr> kRowsOfPanel;
  typename Dot::Sum* c = s.c;
  Index i = 0;
  for (; i + Dot::kMr <= s.m; i += Dot::kMr, c += Dot::kMr * s.c_row) {
    i == 0 ? packed_tile<Dot, Dot::kMr, NV, true>(s, i, rows_at(kRowsOfPanel, i), c)
           : packed_tile<Dot, Dot::kMr, NV, false>(s, i, rows_at(kRowsOfPanel, i), c);
  }
  last_rows<Dot::kMr - 1>(s.m - i, [&](auto rows) {
    packed_tile<Dot, decltype(rows)::value, NV, false>(s, i, rows_at(kRowsOfPanel, i), c);
  });
}

template <class Dot, class RowsAt>
void strip_of_tiles(const StripOf<Dot>& s, const RowsAt& rows_at) noexcept {
  with_vectors_for(s.n, [&](auto nv) { tiles_of_strip<Dot, decltype(nv)::value>(s, rows_at); });
}

template <class Dot>
void packed_strip(const StripOf<Dot>& s) noexcept {
  LOGLOG_DCHECK(s.m >= 1 && s.groups >= 1 && s.n >= 1 && s.n <= kGemmNr);
  if constexpr (Dot::kReadsInPlace) {
    if (s.a_row != 0) {
      const auto* a = static_cast<const typename Dot::B*>(s.a);
      return strip_of_tiles<Dot>(s, [&](auto, Index i) {
        return RowsInPlace<Dot>{a + i * s.a_row, s.a_row};
      });
    }
  }
  strip_of_tiles<Dot>(s, [&](auto panel, Index i) {
    using Rows = PackedRows<Dot, decltype(panel)::value>;
    return Rows{static_cast<const typename Dot::A*>(s.a) + i * s.groups * Dot::kParts * Rows::kUnit};
  });
}

template <class Dot>
constexpr auto row_compensation_of() {
  if constexpr (Dot::kBPlus128)
    return Dot::row_compensation;
  else
    return [](typename Dot::Sum*, ConstMatrix<typename Dot::B>) noexcept {};
}

template <class Dot>
constexpr PackedGemm<typename Dot::B, typename Dot::Sum> packed_gemm() {
  return {.mr = Dot::kMr,
          .row_multiple = 1,
          .nr = kGemmNr,
          .group = Dot::kGroup,
          .depth_multiple = Dot::kGroup,
          .blocks = kVectorBlocks,
          .packed_a = Dot::kPackedA,
          .reads_a_in_place = Dot::kReadsInPlace,
          .b_plus_128 = Dot::kBPlus128,
          .subnormals = Dot::kSubnormals,
          .strip = packed_strip<Dot>,
          .row_compensation = row_compensation_of<Dot>(),
          .epilogue = float_epilogue,
          .begin = []() noexcept {},
          .end = []() noexcept {}};
}

}  // namespace
}  // namespace loglog::kernels
