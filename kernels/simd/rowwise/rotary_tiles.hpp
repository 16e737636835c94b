// Rows of rowwise/rotary.hpp.
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// (a, b) turned. Both pairings round alike.
[[gnu::always_inline]] inline VecPair turn(VecPair x, F32 cos, F32 sin) {
  return {muladd(x.first, cos, -(x.second * sin)), muladd(x.second, cos, x.first * sin)};
}

// A head whose pairs are elements i and i + pairs. Where y may be x, nothing is streamed and both are read before either is written.
template <class Streams>
[[gnu::always_inline]] inline void turn_halves(float* y, const float* x, Row cos, Row sin, F32 direction) {
  const Index pairs = cos.cols;
  const Row low{x, pairs}, high{x + pairs, pairs};
  const OutputRow<float, Streams> out_low{y, pairs}, out_high{y + pairs, pairs};
  const auto turned = [&](Index i, auto whole) {
    return turn({low.at(i, whole), high.at(i, whole)}, cos.at(i, whole), sin.at(i, whole) * direction);
  };
  if constexpr (Streams::value) {  // one line after the other
    for_vectors(pairs, [&](Index i, auto whole) { out_low.put(i, turned(i, whole).first, whole); });
    for_vectors(pairs, [&](Index i, auto whole) { out_high.put(i, turned(i, whole).second, whole); });
  } else {
    for_vectors(pairs, [&](Index i, auto whole) {
      const VecPair both = turned(i, whole);
      out_low.put(i, both.first, whole);
      out_high.put(i, both.second, whole);
    });
  }
}

// A head whose pairs are elements 2i and 2i + 1: two vectors of them at a time.
template <class Streams>
[[gnu::always_inline]] inline void turn_interleaved(float* y, const float* x, Row cos, Row sin,
                                                    F32 direction) {
  const Row in{x, 2 * cos.cols};
  const OutputRow<float, Streams> out{y, 2 * cos.cols};
  for_vectors(cos.cols, [&](Index i, auto whole) {
    const Index j = 2 * i;
    if constexpr (whole) {
      const VecPair pairs = deinterleave(in.at(j, whole), in.at(j + kWidth, whole));
      const VecPair turned = turn(pairs, cos.at(i, whole), sin.at(i, whole) * direction);
      const VecPair result = interleave(turned.first, turned.second);
      out.put(j, result.first, whole);
      out.put(j + kWidth, result.second, whole);
    } else {
      // Of n < kWidth pairs, 2n elements: the second vector has some only if the first is full.
      const Index first = in.cols - j < kWidth ? in.cols - j : kWidth, second = in.cols - j - first;
      const VecPair pairs = deinterleave(load_partial(x + j, first), load_partial(x + j + first, second));
      const VecPair turned = turn(pairs, cos.at(i, whole), sin.at(i, whole) * direction);
      const VecPair result = interleave(turned.first, turned.second);
      store_partial(y + j, result.first, first);
      store_partial(y + j + first, result.second, second);
    }
  });
}

// turn_head<Streams>(y, x, cos, sin, direction) for every head of every row; what does not turn is copied, unless it is
// there already.
template <class TurnHead>
[[gnu::always_inline]] inline void rotary_rows(MatrixRef out, ConstMatrixRef in,
                                               const std::int32_t* positions, const RotaryHeads& heads,
                                               Stores stores, TurnHead&& turn_head) {
  const Index turning = 2 * heads.cos.cols, staying = heads.head_size - turning;
  const bool vectors = heads.head_size % kWidth == 0 && heads.cos.cols % kWidth == 0;
  with_stores(vectors ? stores : Stores::cached, out, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      const Row cos{heads.cos.row(positions[r]), heads.cos.cols},
          sin{heads.sin.row(positions[r]), heads.cos.cols};
      for (Index j = 0; j < in.cols; j += heads.head_size) {
        const float* const x = in.row(r) + j;
        prefetch_ahead(x, heads.head_size);
        float* const y = out.row(r) + j;
        turn_head(streams, y, x, cos, sin, F32(heads.direction));
        if (y == x || staying == 0) continue;
        const Row rest{x + turning, staying};
        const OutputRow<float, decltype(streams)> copy{y + turning, staying};
        for_vectors(staying, [&](Index i, auto whole) { copy.put(i, rest.at(i, whole), whole); });
      }
    }
  });
}

void rotary_halves_rows(MatrixRef out, ConstMatrixRef in, const std::int32_t* positions,
                        const RotaryHeads& heads, Stores stores) noexcept {
  rotary_rows(out, in, positions, heads, stores,
              [](auto streams, float* y, const float* x, Row cos, Row sin, F32 direction) {
                turn_halves<decltype(streams)>(y, x, cos, sin, direction);
              });
}
void rotary_interleaved_rows(MatrixRef out, ConstMatrixRef in, const std::int32_t* positions,
                             const RotaryHeads& heads, Stores stores) noexcept {
  rotary_rows(out, in, positions, heads, stores,
              [](auto streams, float* y, const float* x, Row cos, Row sin, F32 direction) {
                turn_interleaved<decltype(streams)>(y, x, cos, sin, direction);
              });
}

}  // namespace
}  // namespace loglog::kernels
