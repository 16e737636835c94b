// The register tile of the float gemm: MR x NV vectors of sums that never leave their registers.
#pragma once
#include "kernels/simd/gemm_epilogue_tile.hpp"
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

constexpr int kGemmMr = LOGLOG_MR;
constexpr int kGemmNv = LOGLOG_NV;
constexpr int kGemmNr = kGemmNv * kWidth;
// Where float32 reads A in place, with 32 registers of 16 floats: as wide as can be, since A is read again for each strip of columns,
// by a broadcast per row and step. A height for every width: such a strip needs no rows in panels.
constexpr int kInPlaceNv = kWidth == 16 ? 4 : kGemmNv;
constexpr int in_place_rows(int vectors) {
  if (kWidth != 16) return kGemmMr;
  return vectors == 4 ? 6 : vectors == 3 ? 9 : 14;
}
// One row of B and one broadcast of A share the registers with the sums. The scalar ISA is exempt: its
// compiler sees single floats and packs them itself.
constexpr bool tile_fits(int rows, int vectors) {
  return kWidth == 1 || rows * vectors + vectors + 1 <= LOGLOG_REGISTERS;
}
static_assert(tile_fits(kGemmMr, kGemmNv) && tile_fits(in_place_rows(kInPlaceNv), kInPlaceNv));

template <class Sum, int ROWS, int NV = kGemmNv>
using TileSums = Vec<Sum>[ROWS][NV];

// A full tile goes out by vectors; a narrow one through a copy of its last vector.
template <class Sum, int ROWS, class Strip, int NV = kGemmNv>
[[gnu::always_inline]] inline void store_tile(const TileSums<Sum, ROWS, NV>& sums, const Strip& s, Sum* c) {
  // Copies: to the compiler a store to C might change an int of the strip.
  const Index c_row = s.c_row;
  const int n = s.n;
  const bool add = s.add;
  unroll<ROWS>([&](auto i) {
    unroll<NV>([&](auto j) {
      Sum* const out = c + i * c_row + j * kWidth;
      const int columns = n - j * kWidth;
      if (columns >= kWidth) {
        store(out, add ? load(out) + sums[i][j] : sums[i][j]);
      } else if (columns > 0) {
        store_partial(out, add ? load_partial(out, columns) + sums[i][j] : sums[i][j], columns);
      }
    });
  });
}

// The sum over p of one element is one chain of muladd in ascending order, for every ROWS and every layout of
// A: neither the position in the matrix nor packing changes a bit. kStreams: B is not in L1 yet, and is asked for ahead.
template <int NV>
constexpr Index kStepsAhead = kAheadBytes / static_cast<Index>(sizeof(float)) / (NV * kWidth);
template <int ROWS, bool kPacked, int NV, bool kStreams>
[[gnu::flatten]] void gemm_f32_tile(const GemmStrip& s, const float* a, float* c) noexcept {
  const Index a_row = kPacked ? 1 : s.a_row;
  const Index a_step = kPacked ? kGemmMr : s.a_step;
  const float* b = s.b;
  TileSums<float, ROWS, NV> sums;
  // The tile of C is prefetched, so that it has arrived when its sums are ready: 0.70 -> 0.91 of the peak at 2048 cubed on avx2.
  unroll<ROWS>([&](auto i) {
    unroll<NV>([&](auto j) {
      sums[i][j] = Vec<float>(0.0f);
      __builtin_prefetch(c + i * s.c_row + j * kWidth, 1);
    });
  });
  const Index ahead = kStepsAhead<NV> * s.b_step;
  for (Index p = 0; p < s.k; ++p, a += a_step, b += s.b_step) {
    if constexpr (kStreams) unroll<NV>([&](auto j) { __builtin_prefetch(b + ahead + j * kWidth); });
    Vec<float> b_row[NV];
    unroll<NV>([&](auto j) { b_row[j] = load(b + j * kWidth); });
    unroll<ROWS>([&](auto i) {
      const Vec<float> a_i(a[i * a_row]);
      unroll<NV>([&](auto j) { sums[i][j] = muladd(a_i, b_row[j], sums[i][j]); });
    });
  }
  store_tile<float, ROWS, GemmStrip, NV>(sums, s, c);
}

// The rows that are left below the last full tile, at most MOST, by tile(integral_constant) of just that height: padding
// would waste up to (MR-1)/MR of the work of a short matrix.
template <int MOST, class Tile>
void last_rows(Index rows, const Tile& tile) noexcept {
  LOGLOG_DCHECK(rows >= 0 && rows <= MOST);
  if constexpr (MOST > 0) {
    if (rows == MOST) {
      tile(std::integral_constant<int, MOST>{});
    } else {
      last_rows<MOST - 1>(rows, tile);
    }
  }
}

// The last strip of a product by tile(integral_constant) of as many vectors as hold its n columns: what others multiply would be
// thrown away.
template <int NV = kGemmNv, class Tile>
[[gnu::always_inline]] inline void with_vectors_for(int n, const Tile& tile) {
  if constexpr (NV > 1 && kWidth > 1) {
    if (n <= (NV - 1) * kWidth) return with_vectors_for<NV - 1>(n, tile);
  }
  tile(std::integral_constant<int, NV>{});
}

template <int MR, bool kPacked, int NV>
void gemm_f32_rows(const GemmStrip& s) noexcept {
  const float* a = s.a;
  const Index a_tile = kPacked ? s.a_tile : MR * s.a_row;
  float* c = s.c;
  if (s.m < MR) {
    return last_rows<MR - 1>(
        s.m, [&](auto rows) { gemm_f32_tile<decltype(rows)::value, kPacked, NV, true>(s, a, c); });
  }
  // A short strip is over before what was asked for is there.
  const bool streams = s.k > 4 * kStepsAhead<NV>;
  Index i = 0;
  for (; i + MR <= s.m; i += MR, a += a_tile, c += MR * s.c_row) {
    i == 0 && streams ? gemm_f32_tile<MR, kPacked, NV, true>(s, a, c)
                      : gemm_f32_tile<MR, kPacked, NV, false>(s, a, c);
  }
  last_rows<MR - 1>(s.m - i,
                    [&](auto rows) { gemm_f32_tile<decltype(rows)::value, kPacked, NV, false>(s, a, c); });
}

void gemm_f32_strip(const GemmStrip& s) noexcept {
  LOGLOG_DCHECK(s.m >= 1 && s.k >= 1 && s.n >= 1 && s.n <= kGemmNr);
  // A packed panel has compile-time strides, which leaves address registers free.
  const bool packed = s.a_row == 1 && s.a_step == kGemmMr;
  with_vectors_for(s.n, [&](auto nv) {
    packed ? gemm_f32_rows<kGemmMr, true, decltype(nv)::value>(s)
           : gemm_f32_rows<kGemmMr, false, decltype(nv)::value>(s);
  });
}

void gemm_f32_strip_in_place(const GemmStrip& s) noexcept {
  LOGLOG_DCHECK(s.m >= 1 && s.k >= 1 && s.n >= 1 && s.n <= kInPlaceNv * kWidth);
  with_vectors_for<kInPlaceNv>(s.n, [&](auto nv) {
    constexpr int kNv = decltype(nv)::value;
    gemm_f32_rows<in_place_rows(kNv), false, kNv>(s);
  });
}

constinit const GemmF32 kGemmF32 = {
    .mr = kGemmMr,
    .nr = kGemmNr,
    .vector = kWidth,
    .in_place = false,
    .strip = gemm_f32_strip,
    .epilogue = float_epilogue,
};
constinit const GemmF32 kGemmF32InPlace = {
    .mr = in_place_rows(kInPlaceNv),
    .nr = kInPlaceNv * kWidth,
    .vector = kWidth,
    .in_place = true,
    .strip = gemm_f32_strip_in_place,
    .epilogue = float_epilogue,
};

}  // namespace
}  // namespace loglog::kernels
