#include "kernels/pack.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "kernels/parallel.hpp"

namespace loglog::kernels {
namespace {

// What is copied at once: a float, two bfloat16 or four int8, all of one lane and side by side in depth.
using Unit = std::uint32_t;

// The walk through the operand decides what packing costs: 12% of a product of 1024 cubed on avx2 when each panel was
// read by itself, since a short piece of a far row is over before the prefetcher has noticed it.

// Four units, a vector of every baseline.
using Quad [[gnu::vector_size(16)]] = Unit;
constexpr Index kQuad = 4;
// Units in a cache line.
constexpr Index kLine = 16;

Quad load_quad(const void* from) {
  Quad quad;
  std::memcpy(&quad, from, sizeof quad);
  return quad;
}
void store_quad(Unit* to, Quad quad) {
  std::memcpy(to, &quad, sizeof quad);
}
Unit load_unit(const void* from) {
  Unit unit;
  std::memcpy(&unit, from, sizeof unit);
  return unit;
}

// Lanes that lie side by side (B as it is, A transposed) and units of one step: several panels at once, so that each row
// is read in a piece of a few cache lines.
void pack_neighbours(Unit* out, const float* in, Index depth_stride, Index panels, Index width, Index depth) {
  constexpr Index kPanels = 8;
  for (Index first = 0; first < panels; first += kPanels) {
    const Index count = std::min(kPanels, panels - first);
    for (Index p = 0; p < depth; ++p) {
      const float* from = in + first * width + p * depth_stride;
      for (Index panel = 0; panel < count; ++panel, from += width) {
        Unit* const to = out + ((first + panel) * depth + p) * width;
        Index i = 0;
        for (; i + kQuad <= width; i += kQuad) store_quad(to + i, load_quad(from + i));
        for (; i < width; ++i) to[i] = load_unit(from + i);
      }
    }
  }
}

// Four lanes, each contiguous in depth, for four units of depth: a 4 x 4 transpose in registers.
void transpose_quads(Unit* to, Index width, const char* from, Index lane_bytes) {
  const Quad a = load_quad(from), b = load_quad(from + lane_bytes);
  const Quad c = load_quad(from + 2 * lane_bytes), d = load_quad(from + 3 * lane_bytes);
  const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store_quad(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store_quad(to + width, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store_quad(to + 2 * width, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store_quad(to + 3 * width, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

// Lanes of one panel, each contiguous in depth (A as it is, B transposed), `units` of them: a cache line of every lane
// at a time.
void pack_apart(Unit* out, const void* in, Index lane_bytes, Index lanes, Index width, Index units) {
  for (Index first = 0; first < units; first += kLine) {
    const Index steps = std::min(kLine, units - first);
    const char* const from = static_cast<const char*>(in) + first * static_cast<Index>(sizeof(Unit));
    Unit* const to = out + first * width;
    Index i = 0;
    if (steps == kLine) {
      for (; i + kQuad <= lanes; i += kQuad) {
        for (Index p = 0; p < kLine; p += kQuad) {
          transpose_quads(to + p * width + i, width,
                          from + i * lane_bytes + p * static_cast<Index>(sizeof(Unit)), lane_bytes);
        }
      }
    }
    for (; i < lanes; ++i) {
      const char* lane = from + i * lane_bytes;
      for (Index p = 0; p < steps; ++p, lane += sizeof(Unit)) to[p * width + i] = load_unit(lane);
    }
  }
}

// Any view, through a buffer of one line per lane: convert(units, steps) turns kSteps steps of a lane, zeros where there
// is nothing, into kLine units.
template <Index kSteps, class T, class Convert>
void pack_lines(Unit* out, LanesView<T> in, Index lanes, Index width, Index depth, Index units,
                Convert&& convert) {
  constexpr Index kMostLanes = 64;
  LOGLOG_CHECK(width <= kMostLanes, "a panel has {} lanes", width);
  Unit buffer[kMostLanes * kLine];
  for (Index first = 0; first < units; first += kLine) {
    const Index step = first * kSteps / kLine;
    for (Index i = 0; i < width; ++i) {
      T steps[kSteps] = {};
      const Index count = i < lanes ? std::clamp<Index>(depth - step, 0, kSteps) : 0;
      const T* const from = in.data + i * in.lane_stride + step * in.depth_stride;
      for (Index p = 0; p < count; ++p) steps[p] = from[p * in.depth_stride];
      convert(buffer + i * kLine, steps);
    }
    pack_apart(out + first * width, buffer, kLine * static_cast<Index>(sizeof(Unit)), width, width,
               std::min(kLine, units - first));
  }
}

// Groups of two or four neighbouring steps of lanes that lie side by side.
template <int kGroup, class T>
void interleave(T* out, LanesView<T> in, Index width, Index groups) {
  for (Index q = 0; q < groups; ++q, out += width * kGroup) {
    const T* const from = in.data + q * kGroup * in.depth_stride;
    for (Index i = 0; i < width; ++i) {
      for (int r = 0; r < kGroup; ++r) out[i * kGroup + r] = from[i + r * in.depth_stride];
    }
  }
}

// Units that are a group of T as it is.
template <class T>
void pack_units(Unit* out, LanesView<T> in, Index lanes, Index width, Index depth) {
  constexpr Index kGroup = sizeof(Unit) / sizeof(T);
  const Index units = ceil_div(depth, kGroup);
  if (lanes == width && depth % kGroup == 0 && in.depth_stride == 1)
    return pack_apart(out, in.data, in.lane_stride * static_cast<Index>(sizeof(T)), lanes, width, units);
  if (lanes == width && depth % kGroup == 0 && in.lane_stride == 1)
    return interleave<kGroup>(reinterpret_cast<T*>(out), in, width, units);
  pack_lines<kLine * kGroup>(out, in, lanes, width, depth, units,
                             [](Unit* to, const T* steps) { std::memcpy(to, steps, kLine * sizeof(Unit)); });
}

// one_panel(out, view, lanes) for panel after panel, each `size` elements of Out.
template <class Out, class T, class Pack>
void for_panels(Out* out, LanesView<T> in, Index lanes, Index width, Index size, Pack&& one_panel) {
  for (Index first = 0; first < lanes; first += width, out += size) {
    const LanesView<T> panel = {in.data + first * in.lane_stride, in.lane_stride, in.depth_stride};
    one_panel(out, panel, std::min(width, lanes - first));
  }
}

template <class T>
void pack_groups(T* out, LanesView<T> in, Index lanes, Index width, Index depth) {
  constexpr Index kGroup = sizeof(Unit) / sizeof(T);
  for_panels(out, in, lanes, width, width * round_up(depth, kGroup),
             [&](T* to, LanesView<T> panel, Index here) {
               pack_units(reinterpret_cast<Unit*>(to), panel, here, width, depth);
             });
}

}  // namespace

void pack_panels(float* out, LanesView<float> in, Index lanes, Index width, Index depth) {
  Index done = 0;
  if (in.lane_stride == 1) {
    pack_neighbours(reinterpret_cast<Unit*>(out), in.data, in.depth_stride, lanes / width, width, depth);
    done = lanes / width * width;
  }
  const LanesView<float> rest = {in.data + done * in.lane_stride, in.lane_stride, in.depth_stride};
  pack_groups(out + done * depth, rest, lanes - done, width, depth);
}

void pack_panels(bf16* out, LanesView<bf16> in, Index lanes, Index width, Index depth) {
  pack_groups(out, in, lanes, width, depth);
}

void pack_panels(std::int8_t* out, LanesView<std::int8_t> in, Index lanes, Index width, Index depth) {
  pack_groups(out, in, lanes, width, depth);
}

void pack_panels(float* out, LanesView<bf16> in, Index lanes, Index width, Index depth) {
  const Index units = ceil_div(depth, 2) * 2;
  for_panels(out, in, lanes, width, width * units, [&](float* to, LanesView<bf16> panel, Index here) {
    pack_lines<kLine>(reinterpret_cast<Unit*>(to), panel, here, width, depth, units,
                      [](Unit* line, const bf16* steps) {
                        for (Index p = 0; p < kLine; ++p) line[p] = Unit{steps[p].bits} << 16;
                      });
  });
}

void pack_panels(std::int16_t* out, LanesView<std::int8_t> in, Index lanes, Index width, Index depth) {
  const Index units = ceil_div(depth, 4) * 2;
  for_panels(out, in, lanes, width, width * units * 2,
             [&](std::int16_t* to, LanesView<std::int8_t> panel, Index here) {
               pack_lines<2 * kLine>(reinterpret_cast<Unit*>(to), panel, here, width, depth, units,
                                     [](Unit* line, const std::int8_t* steps) {
                                       const auto widen = [](std::int8_t step) {
                                         return static_cast<std::int16_t>(step);
                                       };
                                       std::int16_t words[2 * kLine];
                                       for (Index q = 0; q < 2 * kLine; q += 4) {
                                         words[q] = widen(steps[q]);
                                         words[q + 1] = widen(steps[q + 2]);
                                         words[q + 2] = widen(steps[q + 1]);
                                         words[q + 3] = widen(steps[q + 3]);
                                       }
                                       std::memcpy(line, words, sizeof words);
                                     });
             });
}

}  // namespace loglog::kernels
