// Weights of 8 and 4 bits as float32 again (weight_only.hpp), step by step of a panel.
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
  // q - zero is exact.
  [[gnu::always_inline]] void store_weights(float* out, int j, Vec<std::int32_t> q) const {
    store(out + j * kWidth, to_float(q - zero[j]) * scale[j]);
  }
};

// Steps [p, end) of one group, of 8 bits.
[[gnu::always_inline]] inline void unpack_steps_8(const QuantizedPanel& s, const ColumnScales& scales,
                                                  Index p, Index end, float* out) {
  const std::uint8_t* q = s.q + p * kGemmNr;
  for (; p < end; ++p, q += kGemmNr, out += kGemmNr) {
    prefetch_ahead(q, kGemmNr);
    unroll<kGemmNv>([&](auto j) { scales.store_weights(out, j, load_bytes(q + j * kWidth)); });
  }
}

// The same of 4 bits: two steps lie in one row of bytes; a group may begin with the second of them or end with the first.
[[gnu::always_inline]] inline void unpack_steps_4(const QuantizedPanel& s, const ColumnScales& scales,
                                                  Index p, Index end, float* out) {
  const Vec<std::int32_t> low(15);
  const std::uint8_t* q = s.q + p / 2 * kGemmNr;
  if (p % 2 == 1) {
    unroll<kGemmNv>(
        [&](auto j) { scales.store_weights(out, j, shift_right(load_bytes(q + j * kWidth), 4)); });
    ++p, q += kGemmNr, out += kGemmNr;
  }
  for (; p + 2 <= end; p += 2, q += kGemmNr, out += 2 * kGemmNr) {
    prefetch_ahead(q, kGemmNr);
    unroll<kGemmNv>([&](auto j) {
      const Vec<std::int32_t> both = load_bytes(q + j * kWidth);
      scales.store_weights(out, j, both & low);
      scales.store_weights(out + kGemmNr, j, shift_right(both, 4));
    });
  }
  if (p < end)
    unroll<kGemmNv>([&](auto j) { scales.store_weights(out, j, load_bytes(q + j * kWidth) & low); });
}

template <int kBits>
[[gnu::flatten]] void unpack_weights(const QuantizedPanel& s) noexcept {
  const Index end = s.first + s.steps;
  float* out = s.out;
  for (Index p = s.first; p < end;) {
    const Index group = p / s.group, next = (group + 1) * s.group, last = next < end ? next : end;
    const ColumnScales scales(s, group);
    if constexpr (kBits == 8)
      unpack_steps_8(s, scales, p, last, out);
    else
      unpack_steps_4(s, scales, p, last, out);
    out += (last - p) * kGemmNr;
    p = last;
  }
}

constinit const WeightOnly kWeightOnly = {
    .unpack_8 = unpack_weights<8>,
    .unpack_4 = unpack_weights<4>,
};

}  // namespace
}  // namespace loglog::kernels
