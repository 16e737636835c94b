// The register tile of attention, C[ROWS, NV vectors] (+)= A B. All products (S = Q K', O += P V; dP = dO V',
// dV += P' dO, dK += dS' Q, dQ += dS K) are this one: A is read element by element with any strides, B by vectors.
#pragma once
#include "kernels/simd/attention/row.hpp"

namespace loglog::kernels {
namespace {

// 32 registers: 16 sums + 2 + 1; 16 registers: 8 sums, which just covers the latency of two FMA units (4 cycles each).
constexpr int kTileRows = LOGLOG_REGISTERS >= 32 ? 8 : 4;
constexpr int kTileVectors = kWidth == 1 ? 4 : 2;
constexpr int kPanel = kTileVectors * kWidth;  // columns of a tile

// A(i, p) = data[i * row + p * step].
struct Left {
  const float* data;
  Index row, step;
  Left from(Index i, Index p) const { return {data + i * row + p * step, row, step}; }
};

// B(p, j) = data[p * step + j * column] at the columns j where a tile begins; its other columns follow that one.
struct Right {
  const float* data;
  Index step, column;
  Right from(Index p) const { return {data + p * step, step, column}; }
};

struct Sums {
  float* data;
  Index row;
  Index cols;  // a multiple of kWidth
  Sums from(Index i) const { return {data + i * row, row, cols}; }
};

enum class Start : bool { zero, sums };

template <int ROWS, int NV, Start kStart>
void tile(Index depth, Left a, const float* b, Index b_step, float* c, Index c_row) noexcept {
  F32 sums[ROWS][NV];
  unroll<ROWS>([&](auto i) {
    unroll<NV>(
        [&](auto j) { sums[i][j] = kStart == Start::sums ? load(c + i * c_row + j * kWidth) : F32(0.0f); });
  });
  const float* left = a.data;
  for (Index p = 0; p < depth; ++p, left += a.step, b += b_step) {
    F32 b_row[NV];
    unroll<NV>([&](auto j) { b_row[j] = load(b + j * kWidth); });
    unroll<ROWS>([&](auto i) {
      const F32 a_i(left[i * a.row]);
      unroll<NV>([&](auto j) { sums[i][j] = muladd(a_i, b_row[j], sums[i][j]); });
    });
  }
  unroll<ROWS>([&](auto i) { unroll<NV>([&](auto j) { store(c + i * c_row + j * kWidth, sums[i][j]); }); });
}

// The last tile of a row may be narrower.
template <int ROWS, Start kStart, int NV = kTileVectors>
void narrow_tile(Index vectors, Index depth, Left a, const float* b, Index b_step, float* c,
                 Index c_row) noexcept {
  if constexpr (NV > 0) {
    if (vectors >= NV) {
      tile<ROWS, NV, kStart>(depth, a, b, b_step, c, c_row);
    } else {
      narrow_tile<ROWS, kStart, NV - 1>(vectors, depth, a, b, b_step, c, c_row);
    }
  }
}

// C[rows, c.cols] (+)= A B with rows <= ROWS. An element's sum is one chain of muladd, ascending in depth, for every ROWS.
template <Start kStart, int ROWS = kTileRows>
void product(Index rows, Index depth, Left a, Right b, Sums c) noexcept {
  if constexpr (ROWS > 0) {
    if (rows < ROWS) return product<kStart, ROWS - 1>(rows, depth, a, b, c);
    for (Index j = 0; j < c.cols; j += kPanel) {
      narrow_tile<ROWS, kStart>(smaller(kPanel, c.cols - j) / kWidth, depth, a, b.data + j * b.column, b.step,
                                c.data + j, c.row);
    }
  }
}

// C += A B over the depths [begin, end) of which row i takes [first[i], last[i]) alone, both ascending. What all rows take
// is done by tiles, the rest row by row: 0 * NaN would let in what a row must not see. A, B: from `begin` on.
void limited_product(Index rows, Index begin, Index end, const Index* first, const Index* last, Left a,
                     Right b, Sums c) noexcept {
  LOGLOG_DCHECK(rows >= 1 && rows <= kTileRows);
  const auto row_alone = [&](Index i, Index from, Index to) {
    if (from < to)
      product<Start::sums, 1>(1, to - from, a.from(i, from - begin), b.from(from - begin), c.from(i));
  };
  const Index common = larger(begin, first[rows - 1]), common_end = smaller(end, last[0]);
  if (common >= common_end) {
    for (Index i = 0; i < rows; ++i) row_alone(i, larger(begin, first[i]), smaller(end, last[i]));
    return;
  }
  for (Index i = 0; i + 1 < rows; ++i) row_alone(i, larger(begin, first[i]), common);
  product<Start::sums>(rows, common_end - common, a.from(0, common - begin), b.from(common - begin), c);
  for (Index i = 1; i < rows; ++i) row_alone(i, common_end, smaller(end, last[i]));
}

}  // namespace
}  // namespace loglog::kernels
