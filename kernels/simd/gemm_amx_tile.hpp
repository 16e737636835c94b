// Strips of products of bfloat16 and int8 on AMX: 2 x 2 tiles of sums, two tiles of A, two of B.
//
//   tmm0 tmm1 | rows  0-15 x columns 0-15, 16-31          A: tmm4 rows 0-15, tmm5 rows 16-31, 64 bytes of depth
//   tmm2 tmm3 | rows 16-31                                B: tmm6 columns 0-15, tmm7 columns 16-31, 16 groups of depth
//
// Four products per four loads: the loads of 16 cache lines hide behind the 16 cycles of a product.
#pragma once
#include <cstddef>
#include <limits>
#include <type_traits>

#include "kernels/bf16.hpp"
#include "kernels/simd/gemm_epilogue_tile.hpp"
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

constexpr int kAmxTileRows = 16, kAmxTileColumns = 16;
constexpr Index kAmxTileBytes = 64;  // of a row
constexpr int kAmxMr = 2 * kAmxTileRows, kAmxNr = 2 * kAmxTileColumns;

// A panel of A stays in L1 while a block of B comes by from L2: C is then written row by row, in pieces that follow each other
// (2048 x 576 x 192 of bfloat16, one thread: 1257 -> 1630 GFLOP/s against blocks of 160 rows). A is packed only where tiles cannot
// be loaded from where it lies. All of K up to 4 KiB: another load and store of C costs more than a panel that is only in L2.
constexpr PackedBlocks kAmxBlocks = {.rows = kAmxMr,
                                     .depth_bytes = 4096,
                                     .b_bytes = Index{1} << 20,
                                     .in_place_columns = std::numeric_limits<Index>::max(),
                                     .in_place_row_bytes = 1};

// Up to so many steps, 2 KiB of A and 2 of B each, both stay in L1 (48 KiB). Else B is loaded so that A does (128 x 512 x 512 of
// bfloat16, one thread: 2040 -> 2430 GFLOP/s).
constexpr Index kAmxStepsInL1 = 10;

// Where few rows meet all of B, it comes from memory, and neither loads of tiles nor prefetches make hardware read ahead; plain
// loads do. So lines are asked for into L2 and loaded once before their tile is, from L2 to L1 (weights of 512 MiB, two threads, one
// row of bfloat16: 27.5 GB/s by prefetches alone, 31 with both).
constexpr Index kAmxStepsAhead = 2;
constexpr Index kAmxStepBytes = kAmxNr * kAmxTileBytes;  // of B
[[gnu::always_inline]] inline void ask_for_steps(const std::byte* b, bool is_last) {
  for (Index line = 0; line < kAmxStepBytes; line += kAmxTileBytes) {
    __builtin_prefetch(b + kAmxStepsAhead * kAmxStepBytes + line, 0, 2);
    if (!is_last) static_cast<void>(*static_cast<const volatile std::byte*>(b + kAmxStepBytes + line));
  }
}

// Where tiles of A are found, in bytes: rows of one tile, and one tile behind the other in depth; `end` has the last one where a
// row does not fill it, else null.
struct AmxRows {
  const std::byte* a;
  Index row, step;
  const std::byte* end;
};

// ROWS x COLUMNS whole tiles of C. Sums begin with C where it is added to, so that K in blocks is one chain of tile products.
// All is captured by value and inlined: what is passed in memory is loaded behind the stores of the tiles before, and waits until
// these have left the store buffer (4096 x 256 x 64 of bfloat16: half of the rate).
template <int ROWS, int COLUMNS, class Tiles, class T, class Sum>
[[gnu::always_inline]] inline void amx_tiles(Tiles& tiles, const PackedStrip<T, Sum>& s, AmxRows rows, Sum* c,
                                             Index c_row) noexcept {
  const Index c_bytes = c_row * static_cast<Index>(sizeof(Sum)), a_row = rows.row, a_step = rows.step;
  const bool add = s.add, b_streams = s.b_streams;
  const auto tile_of_c = [=](auto i, auto j) { return c + i * kAmxTileRows * c_row + j * kAmxTileColumns; };
  unroll<ROWS>([=, &tiles](auto i) {
    unroll<COLUMNS>([=, &tiles](auto j) {
      add ? tiles.template load<2 * i + j>(tile_of_c(i, j), c_bytes) : tiles.template zero<2 * i + j>();
    });
  });
  // Each tile is loaded just before its first product.
  const auto multiply = [&tiles, b_streams](auto once, const std::byte* a, Index row, const std::byte* b,
                                            bool is_last) {
    if (ROWS == 1 && b_streams) ask_for_steps(b, is_last);
    unroll<ROWS>([=, &tiles](auto i) {
      tiles.template load<4 + i>(a + i * kAmxTileRows * row, row);
      unroll<COLUMNS>([=, &tiles](auto j) {
        const std::byte* const tile = b + j * kAmxTileBytes;
        if constexpr (i == 0 && once) tiles.template load_once<6 + j>(tile, 2 * kAmxTileBytes);
        if constexpr (i == 0 && !once) tiles.template load<6 + j>(tile, 2 * kAmxTileBytes);
        tiles.template multiply<2 * i + j, 4 + i, 6 + j>(Sum{});
      });
    });
  };
  const std::byte* a = rows.a;
  const auto* b = reinterpret_cast<const std::byte*>(s.b);
  Index steps = s.groups / (kAmxTileBytes / 4) - (rows.end != nullptr ? 1 : 0);
  if (steps > kAmxStepsInL1)
    for (; steps > 0; --steps, a += a_step, b += kAmxStepBytes)
      multiply(std::true_type{}, a, a_row, b, steps == 1);
  for (; steps > 0; --steps, a += a_step, b += kAmxStepBytes)
    multiply(std::false_type{}, a, a_row, b, steps == 1);
  if (rows.end != nullptr) multiply(std::false_type{}, rows.end, kAmxTileBytes, b, true);
  unroll<ROWS>([=, &tiles](auto i) {
    unroll<COLUMNS>([=, &tiles](auto j) { tiles.template store<2 * i + j>(tile_of_c(i, j), c_bytes); });
  });
}

// The same for a part of C that does not fill its tiles, through a copy.
template <int ROWS, int COLUMNS, class Tiles, class T, class Sum>
[[gnu::noinline]] void amx_ragged(Tiles& tiles, const PackedStrip<T, Sum>& s, AmxRows a, Index rows,
                                  Sum* c) noexcept {
  constexpr int kRows = ROWS * kAmxTileRows, kColumns = COLUMNS * kAmxTileColumns;
  alignas(kAmxTileBytes) Sum copy[kRows * kColumns] = {};
  const Index columns = s.n < kColumns ? s.n : kColumns;
  if (s.add)
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j) copy[i * kColumns + j] = c[i * s.c_row + j];
  amx_tiles<ROWS, COLUMNS>(tiles, s, a, copy, kColumns);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) c[i * s.c_row + j] = copy[i * kColumns + j];
}

template <int ROWS, int COLUMNS, class Tiles, class T, class Sum>
[[gnu::always_inline]] inline void amx_block(Tiles& tiles, const PackedStrip<T, Sum>& s, AmxRows a,
                                             Index rows, Sum* c) noexcept {
  if (rows >= ROWS * kAmxTileRows && s.n >= COLUMNS * kAmxTileColumns)
    amx_tiles<ROWS, COLUMNS>(tiles, s, a, c, s.c_row);
  else
    amx_ragged<ROWS, COLUMNS>(tiles, s, a, rows, c);
}

template <class Tiles, class T, class Sum>
void amx_strip(const PackedStrip<T, Sum>& s) noexcept {
  LOGLOG_DCHECK(s.m >= 1 && s.groups >= 1 && s.groups % (kAmxTileBytes / 4) == 0 && s.n >= 1 &&
                s.n <= kAmxNr);
  Tiles tiles;
  const bool in_place = s.a_row != 0;
  LOGLOG_DCHECK(!in_place || s.m % kAmxTileRows == 0);
  LOGLOG_DCHECK(s.a_end == nullptr || s.m <= kAmxMr);
  const Index panel_rows = s.m > kAmxTileRows ? kAmxMr : kAmxTileRows;
  AmxRows a = {static_cast<const std::byte*>(s.a), kAmxTileBytes, panel_rows * kAmxTileBytes,
               static_cast<const std::byte*>(s.a_end)};
  if (in_place) a.row = s.a_row * static_cast<Index>(sizeof(T)), a.step = kAmxTileBytes;
  const Index panel = in_place ? kAmxMr * a.row : kAmxMr * s.groups * 4;
  const bool wide = s.n > kAmxTileColumns;
  Sum* c = s.c;
  for (Index i = 0; i < s.m; i += kAmxMr, a.a += panel, c += kAmxMr * s.c_row) {
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
          .row_multiple = kAmxTileRows,
          .nr = kAmxNr,
          .group = kGroup,
          .depth_multiple = kGroup * static_cast<int>(kAmxTileBytes / 4),
          .blocks = kAmxBlocks,
          .packed_a = PackedA::tiles,
          .reads_a_in_place = true,
          .b_plus_128 = false,
          .subnormals = sizeof(T) == 2 ? Subnormals::flushed : Subnormals::kept,
          .strip = amx_strip<Tiles, T, Sum>,
          .row_compensation = [](Sum*, ConstMatrix<T>) noexcept {},
          .epilogue = float_epilogue,
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
