// Weights of 8 and 4 bits as float32 again (weight_only.hpp), step by step of a panel: into memory, or into the registers of a tile.
#pragma once
#include "kernels/simd/gemm_tile.hpp"
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// The columns of a panel in one group.
struct ColumnScales {
  Vec<float> scale[kGemmNv];
  Vec<std::int32_t> zero[kGemmNv];

  [[gnu::always_inline]] ColumnScales(const QuantizedPanel& s, Index group) {
    unroll<kGemmNv>([&](auto j) {
      const Index at = group * kGemmNr + j * kWidth;
      scale[j] = load(s.scale + at);
      zero[j] = load_bytes(s.zero + at);
    });
  }
};

// body(w) for the steps [p, end) of one group, in order; w is the row of W' of a step.
using WeightRow = Vec<float>[kGemmNv];
template <class QOf, class Body>
[[gnu::always_inline]] inline void unpack_step(const ColumnScales& scales, const QOf& q_of, Body& body) {
  WeightRow w;
  // q - zero is exact.
  unroll<kGemmNv>([&](auto j) { w[j] = to_float(q_of(j) - scales.zero[j]) * scales.scale[j]; });
  body(w);
}

template <class Body>
[[gnu::always_inline]] inline void unpack_steps_8(const QuantizedPanel& s, const ColumnScales& scales,
                                                  Index p, Index end, Body& body) {
  const std::uint8_t* q = s.q + p * kGemmNr;
  for (; p < end; ++p, q += kGemmNr) {
    prefetch_ahead(q, kGemmNr);
    unpack_step(
        scales, [q](auto j) { return load_bytes(q + j * kWidth); }, body);
  }
}

// Two steps lie in one row of bytes; a group may begin with the second of them or end with the first.
template <class Body>
[[gnu::always_inline]] inline void unpack_steps_4(const QuantizedPanel& s, const ColumnScales& scales,
                                                  Index p, Index end, Body& body) {
  const std::uint8_t* q = s.q + p / 2 * kGemmNr;
  const Vec<std::int32_t> lower_half(15);
  const auto even = [&](auto j) { return load_bytes(q + j * kWidth) & lower_half; };
  const auto odd = [&](auto j) { return shift_right(load_bytes(q + j * kWidth), 4); };
  if (p % 2 == 1) {
    unpack_step(scales, odd, body);
    ++p, q += kGemmNr;
  }
  for (; p + 2 <= end; p += 2, q += kGemmNr) {
    prefetch_ahead(q, kGemmNr);
    unpack_step(scales, even, body);
    unpack_step(scales, odd, body);
  }
  if (p < end) unpack_step(scales, even, body);
}

// body(w) for `steps` steps from `first` on.
template <int kBits, class Body>
[[gnu::always_inline]] inline void unpack_panel(const QuantizedPanel& s, Index first, Index steps,
                                                Body& body) {
  const Index end = first + steps;
  for (Index p = first; p < end;) {
    const Index group = p / s.group, next = (group + 1) * s.group, last = next < end ? next : end;
    const ColumnScales scales(s, group);
    if constexpr (kBits == 8)
      unpack_steps_8(s, scales, p, last, body);
    else
      unpack_steps_4(s, scales, p, last, body);
    p = last;
  }
}

template <int kBits>
[[gnu::flatten]] void unpack_weights(float* out, const QuantizedPanel& s, Index first, Index steps) noexcept {
  const auto to_memory = [&](const WeightRow& w) {
    unroll<kGemmNv>([&](auto j) { store(out + j * kWidth, w[j]); });
    out += kGemmNr;
  };
  unpack_panel<kBits>(s, first, steps, to_memory);
}

// Few rows have few chains of multiply-adds, each 4 cycles a step. Unpacked in between, weights cost little beside that; unpacked
// before, they cost as much again (one row of int8, one thread of the Xeon: 11.2 -> 16.7 weights per ns, avx2 7.2 -> 12.6).
constexpr int kWeightOnlyRows = 4;

// A tile of C in registers and the rows of A that it is made of. No captures of a lambda: GCC 12 stored every sum of those in each step
// (four rows: 8.7 instead of 11.3 weights per ns).
template <int ROWS>
struct TileOfRows {
  TileSums<float, ROWS> sums;
  const float* a;
  Index a_row, a_step;

  [[gnu::always_inline]] void operator()(const WeightRow& w) {
    unroll<ROWS>([&](auto i) {
      const Vec<float> a_i(a[i * a_row]);
      unroll<kGemmNv>([&](auto j) { sums[i][j] = muladd(a_i, w[j], sums[i][j]); });
    });
    a += a_step;
  }
};

// The chains of gemm_f32_tile.
template <int kBits, int ROWS>
[[gnu::flatten]] void weight_only_tile(const GemmStrip& s, const QuantizedPanel& panel,
                                       Index first) noexcept {
  TileOfRows<ROWS> tile;
  unroll<ROWS>([&](auto i) { unroll<kGemmNv>([&](auto j) { tile.sums[i][j] = Vec<float>(0.0f); }); });
  tile.a = s.a;
  tile.a_row = s.a_row;
  tile.a_step = s.a_step;
  unpack_panel<kBits>(panel, first, s.k, tile);
  store_tile<float, ROWS>(tile.sums, s, s.c);
}

template <int kBits>
void weight_only_strip(const GemmStrip& s, const QuantizedPanel& panel, Index first) noexcept {
  LOGLOG_DCHECK(s.m >= 1 && s.m <= kWeightOnlyRows && s.k >= 1 && s.n >= 1 && s.n <= kGemmNr);
  last_rows<kWeightOnlyRows>(
      s.m, [&](auto rows) { weight_only_tile<kBits, decltype(rows)::value>(s, panel, first); });
}

constinit const WeightOnly kWeightOnly = {
    .rows = kWeightOnlyRows,
    .bits_8 = {unpack_weights<8>, weight_only_strip<8>},
    .bits_4 = {unpack_weights<4>, weight_only_strip<4>},
};

}  // namespace
}  // namespace loglog::kernels
