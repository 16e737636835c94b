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

// Asks for the group of a panel kAhead bytes behind b, as in gemm_tile.hpp.
template <class Dot>
[[gnu::always_inline]] inline void prefetch_group(const typename Dot::B* b) {
  constexpr Index kBytes = sizeof(typename Dot::B), kGroup = kGemmNr * Dot::kGroup;
  for (Index line = 0; line < kGroup; line += 64 / kBytes)
    __builtin_prefetch(b + kAhead / kBytes / kGroup * kGroup + line);
}

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
      prefetch_group<Dot>(b);
      unroll<kGemmNv>([&](auto j) {
        start.columns[j] = Dot::add(start.columns[j], ones, Dot::template b<0>(b + j * kWidth * Dot::kGroup));
      });
    }
    unroll<kGemmNv>([&](auto j) { start.columns[j] = Vec<Sum>(Sum{0}) - shift_left(start.columns[j], 7); });
  }
  return start;
}

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
  [[gnu::always_inline]] auto unit(int i) const { return Dot::a_in_place(a + i * row); }
  [[gnu::always_inline]] void next() { a += Dot::kGroup; }
};

// Every element is one chain over the groups of depth, in ascending order, for every ROWS. Where kSumsColumns, the tile ignores
// `start` and sums B's columns on its way, so that the only tile of a strip reads B once.
// kStreams: as in gemm_tile.hpp.
template <class Dot, int ROWS, bool kSumsColumns, bool kStreams, class Rows>
void packed_tile(const StripOf<Dot>& s, const TileStart<typename Dot::Sum>& start, Rows rows,
                 typename Dot::Sum* c) noexcept {
  using Sum = typename Dot::Sum;
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
    if constexpr (kStreams) prefetch_group<Dot>(b);
    unroll<Dot::kParts>([&](auto part) {
      decltype(Dot::template b<part>(b)) b_row[kGemmNv];
      unroll<kGemmNv>([&](auto j) { b_row[j] = Dot::template b<part>(b + j * kWidth * Dot::kGroup); });
      unroll<ROWS>([&](auto i) {
        const auto a_i = rows.unit(i);
        unroll<kGemmNv>([&](auto j) { sums[i][j] = Dot::add(sums[i][j], a_i, b_row[j]); });
      });
      if constexpr (kSumsColumns)
        unroll<kGemmNv>([&](auto j) { columns[j] = Dot::add(columns[j], Vec<Sum>(kOneOfEach), b_row[j]); });
      rows.next();
    });
  }
  if constexpr (kSumsColumns) {
    unroll<ROWS>([&](auto i) {
      unroll<kGemmNv>([&](auto j) { sums[i][j] = sums[i][j] - shift_left(columns[j], 7); });
    });
  }
  store_tile<Sum, ROWS>(sums, s, c);
}

// rows_at(panel, i): the rows from i on, in panels of so many (an integral_constant).
template <class Dot, class RowsAt>
void strip_of_tiles(const StripOf<Dot>& s, const RowsAt& rows_at) noexcept {
  using Sum = typename Dot::Sum;
  constexpr bool kStartReadsB = Dot::kPackedA == PackedA::offset;
  Sum* c = s.c;
  if (s.m < Dot::kMr) {
    return last_rows<Dot::kMr - 1>(s.m, [&](auto rows) {
      // A second pass over B in L1 costs few rows most; with many, GCC 12 keeps the sums in memory (8 rows: half the rate).
      constexpr bool kSumsColumns = kStartReadsB && decltype(rows)::value <= 4;
      packed_tile<Dot, decltype(rows)::value, kSumsColumns, kSumsColumns || !kStartReadsB>(
          s, kSumsColumns ? TileStart<Sum>{} : tile_start<Dot>(s), rows_at(rows, 0), c);
    });
  }
  constexpr std::integral_constant<int, Dot::kMr> kRowsOfPanel;
  const auto start = tile_start<Dot>(s);
  Index i = 0;
  for (; i + Dot::kMr <= s.m; i += Dot::kMr, c += Dot::kMr * s.c_row) {
    i == 0 ? packed_tile<Dot, Dot::kMr, false, !kStartReadsB>(s, start, rows_at(kRowsOfPanel, i), c)
           : packed_tile<Dot, Dot::kMr, false, false>(s, start, rows_at(kRowsOfPanel, i), c);
  }
  last_rows<Dot::kMr - 1>(s.m - i, [&](auto rows) {
    packed_tile<Dot, decltype(rows)::value, false, false>(s, start, rows_at(kRowsOfPanel, i), c);
  });
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

// Where 128 is added to A, packing does it once. In place the exclusive or takes the ports that multiply on an Intel CPU (4096 x 256
// x 1024 on avx512_vnni, two threads: 1075 -> 1420 GOP/s with A packed; up to 128 columns no difference).
template <class Dot>
constexpr PackedBlocks packed_blocks() {
  PackedBlocks blocks = kVectorBlocks;
  if (Dot::kPackedA == PackedA::offset) blocks.in_place_columns = 128;
  return blocks;
}

template <class Dot>
constexpr PackedGemm<typename Dot::B, typename Dot::Sum> packed_gemm() {
  return {.mr = Dot::kMr,
          .row_multiple = 1,
          .nr = kGemmNr,
          .group = Dot::kGroup,
          .depth_multiple = Dot::kGroup,
          .blocks = packed_blocks<Dot>(),
          .packed_a = Dot::kPackedA,
          .reads_a_in_place = Dot::kReadsInPlace,
          .subnormals = Dot::kSubnormals,
          .strip = packed_strip<Dot>,
          .begin = []() noexcept {},
          .end = []() noexcept {}};
}

}  // namespace
}  // namespace loglog::kernels
