// Strips of products of bfloat16 and int8 on AMX: 2 x 2 tiles of sums, two tiles of A, two of B.
//
//   tmm0 tmm1 | rows  0-15 x columns 0-15, 16-31          A: tmm4 rows 0-15, tmm5 rows 16-31, 64 bytes of depth
//   tmm2 tmm3 | rows 16-31                                B: tmm6 columns 0-15, tmm7 columns 16-31, 16 groups of depth
//
// Four products per four loads: the loads of 16 cache lines hide behind the 16 cycles of a product.
#pragma once
#include <cstddef>
#include <type_traits>

#include "kernels/bf16.hpp"
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

constexpr int kAmxTileRows = 16, kAmxTileColumns = 16;
constexpr Index kAmxTileBytes = 64;  // of a row
constexpr int kAmxMr = 2 * kAmxTileRows, kAmxNr = 2 * kAmxTileColumns;

// Where a tile of C is loaded from and stored to: C itself, or a copy for a tile that C does not fill.
template <class Sum>
struct TileOfC {
  Sum* c;
  Index c_row;
  int rows, columns;
  Sum copy[kAmxTileRows * kAmxTileColumns];

  bool whole() const { return rows == kAmxTileRows && columns == kAmxTileColumns; }
  Sum* data() { return whole() ? c : copy; }
  Index stride() const { return static_cast<Index>(sizeof(Sum)) * (whole() ? c_row : kAmxTileColumns); }

  void read() {
    if (whole()) return;
    for (int i = 0; i < kAmxTileRows; ++i)
      for (int j = 0; j < kAmxTileColumns; ++j)
        copy[i * kAmxTileColumns + j] = i < rows && j < columns ? c[i * c_row + j] : Sum{0};
  }
  void write() {
    if (whole()) return;
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) c[i * c_row + j] = copy[i * kAmxTileColumns + j];
  }
};

// ROWS x COLUMNS tiles of C. Sums begin with C where it is added to, so that K in blocks is one chain of tile products.
template <int ROWS, int COLUMNS, class Tiles, class T, class Sum>
void amx_block(Tiles& tiles, const PackedStrip<T, Sum>& s, const std::byte* a, Index rows, Sum* c) noexcept {
  TileOfC<Sum> of_c[ROWS][COLUMNS];
  const auto for_tiles = [&](auto&& f) {
    unroll<ROWS>([&](auto i) { unroll<COLUMNS>([&](auto j) { f(i, j, of_c[i][j]); }); });
  };
  for_tiles([&](auto i, auto j, TileOfC<Sum>& t) {
    t.c = c + i * kAmxTileRows * s.c_row + j * kAmxTileColumns;
    t.c_row = s.c_row;
    t.rows =
        static_cast<int>(rows - i * kAmxTileRows < kAmxTileRows ? rows - i * kAmxTileRows : kAmxTileRows);
    t.columns = s.n - j * kAmxTileColumns < kAmxTileColumns ? s.n - j * kAmxTileColumns : kAmxTileColumns;
    if (!s.add) return tiles.template zero<2 * i + j>();
    t.read();
    tiles.template load<2 * i + j>(t.data(), t.stride());
  });
  const auto* b = reinterpret_cast<const std::byte*>(s.b);
  for (Index q = 0; q < s.groups;
       q += kAmxTileBytes / 4, a += kAmxMr * kAmxTileBytes, b += kAmxNr * kAmxTileBytes) {
    unroll<ROWS>(
        [&](auto i) { tiles.template load<4 + i>(a + i * kAmxTileRows * kAmxTileBytes, kAmxTileBytes); });
    unroll<COLUMNS>([&](auto j) { tiles.template load<6 + j>(b + j * kAmxTileBytes, 2 * kAmxTileBytes); });
    unroll<ROWS>([&](auto i) {
      unroll<COLUMNS>([&](auto j) { tiles.template multiply<2 * i + j, 4 + i, 6 + j>(Sum{}); });
    });
  }
  for_tiles([&](auto i, auto j, TileOfC<Sum>& t) {
    tiles.template store<2 * i + j>(t.data(), t.stride());
    t.write();
  });
}

template <class Tiles, class T, class Sum>
void amx_strip(const PackedStrip<T, Sum>& s) noexcept {
  LOGLOG_DCHECK(s.m >= 1 && s.groups >= 1 && s.groups % (kAmxTileBytes / 4) == 0 && s.n >= 1 &&
                s.n <= kAmxNr);
  Tiles tiles;
  const auto* a = static_cast<const std::byte*>(s.a);
  const Index panel = kAmxMr * s.groups * 4;
  const bool wide = s.n > kAmxTileColumns;
  Sum* c = s.c;
  for (Index i = 0; i < s.m; i += kAmxMr, a += panel, c += kAmxMr * s.c_row) {
    const Index rows = s.m - i < kAmxMr ? s.m - i : kAmxMr;
    if (rows > kAmxTileRows)
      wide ? amx_block<2, 2>(tiles, s, a, rows, c) : amx_block<2, 1>(tiles, s, a, rows, c);
    else
      wide ? amx_block<1, 2>(tiles, s, a, rows, c) : amx_block<1, 1>(tiles, s, a, rows, c);
  }
}

template <class Tiles, class T, class Sum>
constexpr PackedGemm<T, Sum> amx_gemm() {
  constexpr int kGroup = 4 / static_cast<int>(sizeof(T));
  return {.mr = kAmxMr,
          .row_multiple = kAmxMr,
          .nr = kAmxNr,
          .group = kGroup,
          .depth_multiple = kGroup * static_cast<int>(kAmxTileBytes / 4),
          .packed_a = PackedA::tiles,
          .reads_a_in_place = false,
          .subnormals = sizeof(T) == 2 ? Subnormals::flushed : Subnormals::kept,
          .strip = amx_strip<Tiles, T, Sum>,
          .begin = []() noexcept { Tiles::configure(); },
          .end = []() noexcept { Tiles::release(); }};
}

// Four products of tiles of ones, from 0, for peak.hpp.
template <class Tiles, class Sum>
float amx_peak(Index iterations) noexcept {
  using T = std::conditional_t<std::is_same_v<Sum, float>, bf16, std::int8_t>;
  constexpr Index kSums = kAmxTileRows * kAmxTileColumns;
  T ones[kAmxTileRows * kAmxTileBytes / sizeof(T)];
  for (T& one : ones) {
    if constexpr (std::is_same_v<T, bf16>)
      one = to_bf16(1.0f);
    else
      one = 1;
  }
  Tiles tiles;
  Tiles::configure();
  unroll<4>([&](auto c) { tiles.template zero<c>(); });
  unroll<4>([&](auto operand) { tiles.template load<4 + operand>(ones, kAmxTileBytes); });
  for (Index n = 0; n < iterations; ++n) {
    unroll<4>([&](auto c) { tiles.template multiply<c, 4 + c / 2, 6 + c % 2>(Sum{}); });
  }
  Sum sums[4 * kSums];
  unroll<4>([&](auto c) { tiles.template store<c>(sums + c * kSums, kAmxTileColumns * sizeof(Sum)); });
  Tiles::release();
  Sum total{};
  for (const Sum sum : sums) total += sum;
  return static_cast<float>(total);
}

template <class Tiles, class Sum>
constexpr PeakLoop amx_loop() {
  constexpr Index kDepth =
      std::is_same_v<Sum, float> ? kAmxTileBytes / 2 : kAmxTileBytes;  // of bfloat16 or int8
  return {4 * 2 * kAmxTileRows * kAmxTileColumns * kDepth, amx_peak<Tiles, Sum>};
}

}  // namespace
}  // namespace loglog::kernels
