// Operands of a matrix product rearranged into the panels that a strip (table.hpp) walks through.
//
// The rows of A or the columns of B are lanes. A panel holds `width` lanes; behind each other in it lie groups of `group`
// steps of depth, lane by lane: step p of lane i at out[(p / group) * width * group + i * group + p % group].
//
// Shapes     lanes, depth >= 0, width >= 1; out has round_up(lanes, width) * round_up(depth, group) elements: panel after panel,
//            lanes beyond `lanes` and steps beyond `depth` are zero.
// Strides    in elements; one of the two strides of a view is 1.
// Alignment  none required.
// Aliasing   out does not overlap the view.
// Reads      only the lanes x depth elements of the view.
// Rounding   none; conversions are exact.
// Order      none.
// Errors     none.
#pragma once
#include <cstdint>

#include "kernels/bf16.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

// Lane i at depth p lies at data[i * lane_stride + p * depth_stride].
template <class T>
struct LanesView {
  const T* data;
  Index lane_stride, depth_stride;
};

// Groups of 4 bytes: 1, 2 and 4 steps.
void pack_panels(float* out, LanesView<float> in, Index lanes, Index width, Index depth) noexcept;
void pack_panels(bf16* out, LanesView<bf16> in, Index lanes, Index width, Index depth) noexcept;
void pack_panels(std::int8_t* out, LanesView<std::int8_t> in, Index lanes, Index width, Index depth) noexcept;

// bfloat16 as float32 in groups of 1, with depth rounded up to even: for rows without a dot product of bfloat16.
void pack_panels(float* out, LanesView<bf16> in, Index lanes, Index width, Index depth) noexcept;
// int8 as int16 in groups of 2, for rows whose widest product is of int16: a group of four steps p becomes the steps p,
// p + 2 of every lane and then the steps p + 1, p + 3, as the shifts of such a row leave them. Depth rounded up to 4.
void pack_panels(std::int16_t* out, LanesView<std::int8_t> in, Index lanes, Index width,
                 Index depth) noexcept;

}  // namespace loglog::kernels
