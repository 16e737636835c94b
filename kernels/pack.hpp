// Operands of a matrix product rearranged into the panels that a strip (table.hpp) walks through.
//
// A line is a row of A or a column of B; its steps go along K. A panel holds `panel_width` lines; behind each other in it
// lie groups of `group` steps of depth, line by line:
//
//   step p of line i at out[(p / group) * panel_width * group + i * group + p % group]
//
// Shapes     lines, depth >= 0, panel_width >= 1; out has round_up(lines, panel_width) * round_up(depth, multiple) elements,
//            the multiple being `group` unless said otherwise: panel after panel; lines beyond `lines` and steps beyond
//            `depth` are zero.
// Strides    in elements; one of the two strides of a view is 1.
// Alignment  none required.
// Aliasing   out does not overlap the view.
// Reads      only the lines x depth elements of the view.
// Rounding   none; conversions are exact.
// Order      none.
// Errors     none.
#pragma once
#include <cstdint>

#include "kernels/bf16.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

// Line i at depth p lies at data[i * line_stride + p * depth_stride].
template <class T>
struct LinesView {
  const T* data;
  Index line_stride, depth_stride;
};

// Steps of a line that lie side by side; what the depth of a panel is rounded up to a multiple of, itself one of `group`; whether
// int8 becomes an unsigned byte with 128 added, zeros too, for ISAs whose product takes such bytes.
struct Grouping {
  int group, depth_multiple;
  bool plus_128 = false;
  friend bool operator==(const Grouping&, const Grouping&) = default;
};
// Groups of 4 bytes, what most products want.
template <class T>
inline constexpr Grouping kUnits = {4 / static_cast<int>(sizeof(T)), 4 / static_cast<int>(sizeof(T))};

void pack_panels(float* out, LinesView<float> in, Index lines, Index panel_width, Index depth) noexcept;
void pack_panels(bf16* out, LinesView<bf16> in, Index lines, Index panel_width, Index depth,
                 Grouping grouping = kUnits<bf16>) noexcept;
void pack_panels(std::int8_t* out, LinesView<std::int8_t> in, Index lines, Index panel_width, Index depth,
                 Grouping grouping = kUnits<std::int8_t>) noexcept;

// bfloat16 as float32 in groups of 1, with depth rounded up to even: for ISAs without a dot product of bfloat16.
void pack_panels(float* out, LinesView<bf16> in, Index lines, Index panel_width, Index depth) noexcept;
// int8 as int16 in groups of 2, for ISAs whose widest product is of int16: a group of four steps p becomes the steps p,
// p + 2 of every line and then the steps p + 1, p + 3, as the shifts of such an ISA leave them. Depth rounded up to 4.
void pack_panels(std::int16_t* out, LinesView<std::int8_t> in, Index lines, Index panel_width,
                 Index depth) noexcept;

}  // namespace loglog::kernels
