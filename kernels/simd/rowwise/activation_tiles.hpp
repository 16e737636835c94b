// Rows of rowwise/activation.hpp.
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Both at once: what a caller does not want of them is not computed.
struct Identity {
  [[gnu::always_inline]] static ValueAndSlope of(F32 x) { return {x, F32(1.0f)}; }
};
// Comparisons with a NaN are false: it passes through.
struct Relu {
  [[gnu::always_inline]] static ValueAndSlope of(F32 x) {
    return {select(x < F32(0.0f), F32(0.0f), x),
            select(x <= F32(0.0f), F32(0.0f), select(x > F32(0.0f), F32(1.0f), x))};
  }
};
struct Gelu {
  [[gnu::always_inline]] static ValueAndSlope of(F32 x) { return gelu(x); }
};
struct Silu {
  [[gnu::always_inline]] static ValueAndSlope of(F32 x) { return silu(x); }
};
struct GeluErf {
  [[gnu::always_inline]] static ValueAndSlope of(F32 x) { return gelu_erf(x); }
};

template <class Act>
void activation_forward_rows(MatrixRef out, ConstMatrixRef in, Stores stores) noexcept {
  with_stores(stores, out, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      const Row x{in.row(r), in.cols};
      const OutputRow<float, decltype(streams)> y{out.row(r), in.cols};
      for_vectors(in.cols,
                  [&](Index j, auto whole) { y.put(j, Act::of(x.first_at(j, whole)).value, whole); });
    }
  });
}

template <class Act>
void activation_backward_rows(MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef in,
                              Stores stores) noexcept {
  with_stores(stores, d_in, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      const Row x{in.row(r), in.cols}, dy{d_out.row(r), in.cols};
      const OutputRow<float, decltype(streams)> dx{d_in.row(r), in.cols};
      for_vectors(in.cols, [&](Index j, auto whole) {
        dx.put(j, dy.first_at(j, whole) * Act::of(x.first_at(j, whole)).slope, whole);
      });
    }
  });
}

template <class Act>
void gated_forward_rows(MatrixRef out, ConstMatrixRef gate, ConstMatrixRef up, Stores stores) noexcept {
  with_stores(stores, out, [&](auto streams) {
    for (Index r = 0; r < gate.rows; ++r) {
      const Row g{gate.row(r), gate.cols}, u{up.row(r), gate.cols};
      const OutputRow<float, decltype(streams)> y{out.row(r), gate.cols};
      for_vectors(gate.cols, [&](Index j, auto whole) {
        y.put(j, Act::of(g.first_at(j, whole)).value * u.first_at(j, whole), whole);
      });
    }
  });
}

// out = act(g) u:  d_u = d_out act(g),  d_g = d_out u act'(g). All three are read before either is written, which may
// take their places.
template <class Act>
void gated_backward_rows(MatrixRef d_gate, MatrixRef d_up, ConstMatrixRef d_out, ConstMatrixRef gate,
                         ConstMatrixRef up, Stores stores) noexcept {
  const Stores both = on_boundaries(d_up) ? stores : Stores::cached;
  with_stores(both, d_gate, [&](auto streams) {
    for (Index r = 0; r < gate.rows; ++r) {
      const Row g{gate.row(r), gate.cols}, u{up.row(r), gate.cols}, dy{d_out.row(r), gate.cols};
      const OutputRow<float, decltype(streams)> dg{d_gate.row(r), gate.cols}, du{d_up.row(r), gate.cols};
      for_vectors(gate.cols, [&](Index j, auto whole) {
        const ValueAndSlope act = Act::of(g.first_at(j, whole));
        const F32 d = dy.first_at(j, whole), factor = u.first_at(j, whole);
        dg.put(j, d * factor * act.slope, whole);
        du.put(j, d * act.value, whole);
      });
    }
  });
}

template <class Act>
constexpr ActivationTiles kActivation = {
    .forward = activation_forward_rows<Act>,
    .backward = activation_backward_rows<Act>,
    .gated_forward = gated_forward_rows<Act>,
    .gated_backward = gated_backward_rows<Act>,
};

}  // namespace
}  // namespace loglog::kernels
