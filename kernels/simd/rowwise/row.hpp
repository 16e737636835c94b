// Rows for the tiles of this folder. A row is cut into whole vectors and one partial vector, so the order of its sums
// depends on its length alone.
#pragma once
#include "kernels/simd/math.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Calls step(j, whole) for every vector of a row; whole says whether all its lanes exist. Inlined twice, so
// the whole vectors carry no test.
template <class Step>
[[gnu::always_inline]] inline void for_vectors(Index cols, Step&& step) {
  Index j = 0;
  for (; j + kWidth <= cols; j += kWidth) step(j, std::true_type{});
  if (j < cols) step(j, std::false_type{});
}

// step(sum, j, whole) -> sum over the vectors of a row, in four chains: one alone would wait for each addition before the next.
template <class Step>
[[gnu::always_inline]] inline float row_sum(Index cols, Step&& step) {
  constexpr int kChains = 4;
  F32 sums[kChains];
  unroll<kChains>([&](auto i) { sums[i] = F32(0.0f); });
  Index first = 0;
  for (; first + kChains * kWidth <= cols; first += kChains * kWidth)
    unroll<kChains>([&](auto i) { sums[i] = step(sums[i], first + i * kWidth, std::true_type{}); });
  for_vectors(cols - first, [&](Index j, auto whole) { sums[0] = step(sums[0], first + j, whole); });
  return reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// One row for these steps: knows its end, so that a partial vector neither reads nor writes behind it.
template <class T>
struct ConstRow {
  const T* data;
  Index cols;
  template <class Whole>
  [[gnu::always_inline]] F32 at(Index j, Whole) const {
    if constexpr (Whole::value) return load(data + j);
    return load_partial(data + j, cols - j);
  }
  // For the pass that meets the elements first.
  template <class Whole>
  [[gnu::always_inline]] F32 first_at(Index j, Whole whole) const {
    if constexpr (Whole::value) prefetch_ahead(data + j, 1);
    return at(j, whole);
  }
};
using Row = ConstRow<float>;

// A writable one. Streams: whole vectors go past the caches.
template <class T, class Streams>
struct OutputRow {
  T* data;
  Index cols;
  template <class Whole>
  [[gnu::always_inline]] F32 at(Index j, Whole whole) const {
    return ConstRow<T>{data, cols}.at(j, whole);
  }
  template <class Whole>
  [[gnu::always_inline]] void put(Index j, F32 v, Whole) const {
    if constexpr (!Whole::value) {
      store_partial(data + j, v, cols - j);
    } else if constexpr (Streams::value) {
      stream(data + j, v);
    } else {
      store(data + j, v);
    }
  }
};
using MutableRow = OutputRow<float, std::false_type>;

// v in the lanes that exist, `other` in the rest of a partial vector.
template <class Whole>
[[gnu::always_inline]] inline F32 live(F32 v, float other, Index lanes, Whole) {
  if constexpr (Whole::value) return v;
  alignas(64) float values[kWidth];
  store(values, v);
  for (Index i = lanes; i < kWidth; ++i) values[i] = other;
  return load(values);
}

// Every row begins on the boundary of a vector, as streamed stores want it.
template <class T>
bool on_boundaries(Matrix<T> x) noexcept {
  constexpr auto kBytes = static_cast<std::uintptr_t>(kWidth * sizeof(T));
  return reinterpret_cast<std::uintptr_t>(x.data) % kBytes == 0 && x.row_stride % kWidth == 0;
}

// rows(streams) with streams = std::true_type where `stores` wants it and `out` allows it.
template <class T, class Rows>
[[gnu::always_inline]] inline void with_stores(Stores stores, Matrix<T> out, Rows&& rows) {
  if (kWidth > 1 && stores == Stores::streamed && on_boundaries(out)) {
    rows(std::true_type{});
    stream_fence();
  } else {
    rows(std::false_type{});
  }
}

}  // namespace
}  // namespace loglog::kernels
