#include "kernels/pack.hpp"

#include <algorithm>
#include <cstring>

namespace loglog::kernels {
namespace {

// The walk through the operand decides what packing costs: 12% of a product of 1024 cubed on avx2 when each panel was
// read by itself, since a short piece of a far row is over before the prefetcher has noticed it.

// Four floats, a vector of every baseline.
using Quad [[gnu::vector_size(16)]] = float;
constexpr Index kQuad = 4;

Quad load_quad(const float* from) {
  Quad quad;
  std::memcpy(&quad, from, sizeof quad);
  return quad;
}
void store_quad(float* to, Quad quad) {
  std::memcpy(to, &quad, sizeof quad);
}

// Lanes that lie side by side (B as it is, A transposed): several panels at once, so that each row is read in a piece
// of a few cache lines.
void pack_neighbours(float* out, LanesView in, Index lanes, Index width, Index depth) {
  constexpr Index kPanels = 8;
  const Index whole = lanes / width;
  for (Index first = 0; first < whole; first += kPanels) {
    const Index panels = std::min(kPanels, whole - first);
    for (Index p = 0; p < depth; ++p) {
      const float* from = in.data + first * width + p * in.depth_stride;
      for (Index panel = 0; panel < panels; ++panel, from += width) {
        float* const to = out + ((first + panel) * depth + p) * width;
        Index i = 0;
        for (; i + kQuad <= width; i += kQuad) store_quad(to + i, load_quad(from + i));
        for (; i < width; ++i) to[i] = from[i];
      }
    }
  }
}

// Four lanes, each contiguous in depth, for four steps of depth: a 4 x 4 transpose in registers.
void transpose_quads(float* to, Index width, const float* from, Index lane_stride) {
  const Quad a = load_quad(from), b = load_quad(from + lane_stride);
  const Quad c = load_quad(from + 2 * lane_stride), d = load_quad(from + 3 * lane_stride);
  const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store_quad(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store_quad(to + width, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store_quad(to + 2 * width, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store_quad(to + 3 * width, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

// Lanes that lie apart, each contiguous in depth (A as it is, B transposed), or the narrow last panel of neighbours:
// a cache line of every lane at a time.
void pack_apart(float* out, LanesView in, Index lanes, Index width, Index depth) {
  constexpr Index kLine = 16;
  if (lanes < width) std::fill_n(out, width * depth, 0.0f);
  for (Index first = 0; first < depth; first += kLine) {
    const Index steps = std::min(kLine, depth - first);
    const float* from = in.data + first * in.depth_stride;
    float* const to = out + first * width;
    Index i = 0;
    if (in.depth_stride == 1 && steps == kLine) {
      for (; i + kQuad <= lanes; i += kQuad) {
        for (Index p = 0; p < kLine; p += kQuad) {
          transpose_quads(to + p * width + i, width, from + i * in.lane_stride + p, in.lane_stride);
        }
      }
    }
    for (; i < lanes; ++i) {
      for (Index p = 0; p < steps; ++p) to[p * width + i] = from[i * in.lane_stride + p * in.depth_stride];
    }
  }
}

}  // namespace

void pack_panels(float* out, LanesView in, Index lanes, Index width, Index depth) {
  Index i = 0;
  if (in.lane_stride == 1) {
    pack_neighbours(out, in, lanes, width, depth);
    i = lanes / width * width;
  }
  for (; i < lanes; i += width) {
    const LanesView panel = {in.data + i * in.lane_stride, in.lane_stride, in.depth_stride};
    pack_apart(out + i * depth, panel, std::min(width, lanes - i), width, depth);
  }
}

}  // namespace loglog::kernels
