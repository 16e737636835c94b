// What surrounds products of int8 (int8.hpp): ranges, rounding, scales, and the few products that stay in float.
#pragma once
#include "kernels/simd/gemm_tile.hpp"
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// The nearest integer, ties to even, of |x| < 2^22: adding 1.5 * 2^23 leaves it in the low bits of the mantissa.
[[gnu::always_inline]] inline Vec<std::int32_t> nearest_int(Vec<float> x) {
  const Vec<float> magic(12582912.0f);
  return bits_of(x + magic) - bits_of(magic);
}

// body(j, load) for the vectors of n elements; load(p) reads what belongs to them, zeros behind the end.
template <class Body>
[[gnu::always_inline]] inline void for_loads(Index n, const Body& body) {
  Index j = 0;
  for (; j + kWidth <= n; j += kWidth) body(j, [](const auto* p) { return load(p); });
  if (j < n) body(j, [rest = n - j](const auto* p) { return load_partial(p, rest); });
}

ValueRange inlier_range(const float* x, const float* limits, Index n, std::uint8_t* outliers) noexcept {
  const Vec<float> zero(0.0f);
  Vec<float> low = zero, high = zero;
  for_loads(n, [&](Index j, auto read) {
    const Vec<float> value = read(x + j);
    const auto is_inlier = abs(value) < read(limits + j);
    const Vec<float> inlier = select(is_inlier, value, zero);
    low = min(low, inlier);
    high = max(high, inlier);
    if (outliers != nullptr && any(!is_inlier)) {
      for (Index i = j; i < n && i < j + kWidth; ++i) outliers[i] |= !(__builtin_fabsf(x[i]) < limits[i]);
    }
  });
  return {-reduce_max(-low), reduce_max(high)};
}

std::int32_t quantize(std::int8_t* q, const float* x, const float* limits, Index n, float inverse_scale,
                      std::int32_t zero) noexcept {
  const Vec<float> scale(inverse_scale), least(static_cast<float>(-128 - zero)),
      most(static_cast<float>(127 - zero));
  const Vec<std::int32_t> offset(zero);
  const auto rounded = [&](Vec<float> value, Vec<float> limit) {
    const Vec<float> inlier = select(abs(value) < limit, value, Vec<float>(0.0f));
    return nearest_int(min(most, max(least, inlier * scale))) + offset;
  };
  Vec<std::int32_t> sums(0);
  Index j = 0;
  for (; j + kWidth <= n; j += kWidth) {
    const Vec<std::int32_t> values = rounded(load(x + j), load(limits + j));
    store_bytes(q + j, values);
    sums = sums + values;
  }
  std::int32_t sum = reduce_add(sums);
  if (j < n) {
    alignas(64) std::int8_t bytes[kWidth];
    store_bytes(bytes, rounded(load_partial(x + j, n - j), load_partial(limits + j, n - j)));
    for (Index i = 0; i < n - j; ++i) {
      q[j + i] = bytes[i];
      sum += bytes[i];
    }
  }
  return sum;
}

template <bool kZeroPoints>
void dequantize_rows(const DequantizeStrip& s) noexcept {
  for (Index i = 0; i < s.m; ++i) {
    float* const c = s.c + i * s.c_row;
    const Vec<float> row_scale(s.row_scale[i]);
    Vec<std::int32_t> row_zero(0), row_rest(0);
    if constexpr (kZeroPoints) {
      row_zero = Vec<std::int32_t>(s.row_zero[i]);
      row_rest = Vec<std::int32_t>(s.row_sum[i]) - Vec<std::int32_t>(s.depth) * row_zero;
    }
    const auto scaled = [&](Vec<std::int32_t> sum, Index j, auto read) {
      if constexpr (kZeroPoints) sum = sum - row_zero * read(s.col_sum + j) - read(s.col_zero + j) * row_rest;
      return to_float(sum) * row_scale * read(s.col_scale + j);
    };
    Index j = 0;
    for (; j + kWidth <= s.n; j += kWidth)
      store(c + j, scaled(load_bits(c + j), j, [](const auto* p) { return load(p); }));
    if (j == s.n) continue;
    const Index rest = s.n - j;
    const auto read = [rest](const auto* p) { return load_partial(p, rest); };
    store_partial(c + j, scaled(bits_of(load_partial(c + j, rest)), j, read), rest);
  }
}

void dequantize(const DequantizeStrip& s) noexcept {
  if (s.row_zero != nullptr) return dequantize_rows<true>(s);
  dequantize_rows<false>(s);
}

template <int ROWS>
void add_outer_rows(const OuterStrip& s, const float* a, float* c) noexcept {
  for (Index j = 0; j < s.n; j += kWidth) {
    const Index columns = s.n - j;
    const bool whole = columns >= kWidth;
    Vec<float> sums[ROWS];
    unroll<ROWS>([&](auto i) {
      const float* const from = c + i * s.c_row + j;
      sums[i] = whole ? load(from) : load_partial(from, columns);
    });
    for (Index p = 0; p < s.depth; ++p) {
      const Vec<float> b = load(s.b + p * s.b_row + j);
      unroll<ROWS>([&](auto i) { sums[i] = muladd(Vec<float>(a[i * s.a_row + p]), b, sums[i]); });
    }
    unroll<ROWS>([&](auto i) {
      float* const to = c + i * s.c_row + j;
      if (whole)
        store(to, sums[i]);
      else
        store_partial(to, sums[i], columns);
    });
  }
}

void add_outer(const OuterStrip& s) noexcept {
  constexpr int kRows = 8;  // chains of sums: the latency of two FMA units
  Index i = 0;
  for (; i + kRows <= s.m; i += kRows) add_outer_rows<kRows>(s, s.a + i * s.a_row, s.c + i * s.c_row);
  last_rows<kRows - 1>(s.m - i, [&](auto rows) {
    add_outer_rows<decltype(rows)::value>(s, s.a + i * s.a_row, s.c + i * s.c_row);
  });
}

constinit const Int8 kInt8 = {
    .inlier_range = inlier_range,
    .quantize = quantize,
    .dequantize = dequantize,
    .add_outer = add_outer,
};

}  // namespace
}  // namespace loglog::kernels
