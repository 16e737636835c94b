// Operands of a matrix product rearranged into the panels that a strip (table.hpp) walks through.
#pragma once
#include "kernels/matrix.hpp"

namespace loglog::kernels {

// The rows of A or the columns of B: lane i at depth p lies at data[i * lane_stride + p * depth_stride]; one of the
// strides is 1.
struct LanesView {
  const float* data;
  Index lane_stride, depth_stride;
};

// Panels of `width` lanes one after the other: lane i of a panel at depth p goes to out[p * width + i], lanes of the
// last panel beyond `lanes` are zero.
//
// Shapes     lanes, depth >= 0; out has round_up(lanes, width) * depth elements.
// Aliasing   out does not overlap the view.
// Reads      only the lanes x depth elements of the view.
void pack_panels(float* out, LanesView in, Index lanes, Index width, Index depth);

}  // namespace loglog::kernels
