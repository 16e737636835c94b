#include "kernels/pack.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

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

// Operands and panels are arrays of other types and of any alignment, so a unit of them is only ever copied.
Quad load_quad(const void* from) {
  Quad quad;
  std::memcpy(&quad, from, sizeof quad);
  return quad;
}
void store_quad(std::byte* to, Quad quad) {
  std::memcpy(to, &quad, sizeof quad);
}
Unit load_unit(const void* from) {
  Unit unit;
  std::memcpy(&unit, from, sizeof unit);
  return unit;
}
void store_unit(std::byte* to, Unit unit) {
  std::memcpy(to, &unit, sizeof unit);
}

// Bytes of so many units.
constexpr Index units_bytes(Index units) {
  return units * static_cast<Index>(sizeof(Unit));
}

// Lanes that lie side by side (B as it is, A transposed) and units of one step: several panels at once, so that each row
// is read in a piece of a few cache lines.
void pack_neighbours(std::byte* out, const float* in, Index depth_stride, Index panels, Index width,
                     Index depth) {
  constexpr Index kPanels = 8;
  for (Index first = 0; first < panels; first += kPanels) {
    const Index count = std::min(kPanels, panels - first);
    for (Index p = 0; p < depth; ++p) {
      const float* from = in + first * width + p * depth_stride;
      for (Index panel = 0; panel < count; ++panel, from += width) {
        std::byte* const to = out + units_bytes(((first + panel) * depth + p) * width);
        Index i = 0;
        for (; i + kQuad <= width; i += kQuad) store_quad(to + units_bytes(i), load_quad(from + i));
        for (; i < width; ++i) store_unit(to + units_bytes(i), load_unit(from + i));
      }
    }
  }
}

// Four lanes, each contiguous in depth, for four units of depth: a 4 x 4 transpose in registers.
void transpose_quads(std::byte* to, Index step_bytes, const std::byte* from, Index lane_bytes) {
  const Quad a = load_quad(from), b = load_quad(from + lane_bytes);
  const Quad c = load_quad(from + 2 * lane_bytes), d = load_quad(from + 3 * lane_bytes);
  const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store_quad(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store_quad(to + step_bytes, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store_quad(to + 2 * step_bytes, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store_quad(to + 3 * step_bytes, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

// Lanes of one panel, each contiguous in depth (A as it is, B transposed), `units` of them: a cache line of every lane
// at a time.
void pack_apart(std::byte* out, const std::byte* in, Index lane_bytes, Index lanes, Index width,
                Index units) {
  const Index step_bytes = units_bytes(width);
  for (Index first = 0; first < units; first += kLine) {
    const Index steps = std::min(kLine, units - first);
    const std::byte* const from = in + units_bytes(first);
    std::byte* const to = out + first * step_bytes;
    Index i = 0;
    if (steps == kLine) {
      for (; i + kQuad <= lanes; i += kQuad) {
        for (Index p = 0; p < kLine; p += kQuad) {
          transpose_quads(to + p * step_bytes + units_bytes(i), step_bytes,
                          from + i * lane_bytes + units_bytes(p), lane_bytes);
        }
      }
    }
    for (; i < lanes; ++i) {
      for (Index p = 0; p < steps; ++p) {
        store_unit(to + p * step_bytes + units_bytes(i), load_unit(from + i * lane_bytes + units_bytes(p)));
      }
    }
  }
}

// Any view, through a buffer of one line per lane, for so many lanes at a time: convert(units, steps) turns kSteps steps
// of a lane, zeros where there is nothing, into kLine units.
template <Index kSteps, class T, class Convert>
void pack_lines(std::byte* out, LanesView<T> in, Index lanes, Index width, Index depth, Index units,
                Convert&& convert) {
  constexpr Index kLanes = 64;
  Unit buffer[kLanes * kLine];
  for (Index first = 0; first < units; first += kLine) {
    const Index step = first * kSteps / kLine, count = std::clamp<Index>(depth - step, 0, kSteps);
    for (Index lane = 0; lane < width; lane += kLanes) {
      const Index here = std::min(kLanes, width - lane);
      for (Index i = 0; i < here; ++i) {
        T steps[kSteps] = {};
        if (lane + i < lanes && count > 0) {
          const T* const from = in.data + (lane + i) * in.lane_stride + step * in.depth_stride;
          for (Index p = 0; p < count; ++p) steps[p] = from[p * in.depth_stride];
        }
        convert(buffer + i * kLine, steps);
      }
      pack_apart(out + units_bytes(first * width + lane), reinterpret_cast<const std::byte*>(buffer),
                 units_bytes(kLine), here, width, std::min(kLine, units - first));
    }
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
void pack_units(T* out, LanesView<T> in, Index lanes, Index width, Index depth) {
  constexpr Index kGroup = sizeof(Unit) / sizeof(T);
  const Index units = ceil_div(depth, kGroup);
  auto* const bytes = reinterpret_cast<std::byte*>(out);
  const bool whole = lanes == width && depth % kGroup == 0;
  if (whole && in.depth_stride == 1) {
    return pack_apart(bytes, reinterpret_cast<const std::byte*>(in.data),
                      in.lane_stride * static_cast<Index>(sizeof(T)), lanes, width, units);
  }
  if (whole && in.lane_stride == 1) return interleave<kGroup>(out, in, width, units);
  pack_lines<kLine * kGroup>(bytes, in, lanes, width, depth, units,
                             [](Unit* to, const T* steps) { std::memcpy(to, steps, units_bytes(kLine)); });
}

// one_panel(out, view, lanes) for panel after panel, each `size` elements of Out. Without depth there is nothing that a
// view could point to.
template <class Out, class T, class Pack>
void for_panels(Out* out, LanesView<T> in, Index lanes, Index width, Index size, Pack&& one_panel) {
  if (size == 0) return;
  for (Index first = 0; first < lanes; first += width, out += size) {
    const LanesView<T> panel = {in.data + first * in.lane_stride, in.lane_stride, in.depth_stride};
    one_panel(out, panel, std::min(width, lanes - first));
  }
}

template <class T>
void pack_groups(T* out, LanesView<T> in, Index lanes, Index width, Index depth) {
  constexpr Index kGroup = sizeof(Unit) / sizeof(T);
  for_panels(out, in, lanes, width, width * round_up(depth, kGroup),
             [&](T* to, LanesView<T> panel, Index here) { pack_units(to, panel, here, width, depth); });
}

}  // namespace

void pack_panels(float* out, LanesView<float> in, Index lanes, Index width, Index depth) noexcept {
  if (in.lane_stride != 1 || depth == 0) return pack_groups(out, in, lanes, width, depth);
  const Index whole = lanes / width * width;
  pack_neighbours(reinterpret_cast<std::byte*>(out), in.data, in.depth_stride, lanes / width, width, depth);
  if (whole == lanes) return;
  const LanesView<float> rest = {in.data + whole, 1, in.depth_stride};
  pack_groups(out + whole * depth, rest, lanes - whole, width, depth);
}

void pack_panels(bf16* out, LanesView<bf16> in, Index lanes, Index width, Index depth) noexcept {
  pack_groups(out, in, lanes, width, depth);
}

void pack_panels(std::int8_t* out, LanesView<std::int8_t> in, Index lanes, Index width,
                 Index depth) noexcept {
  pack_groups(out, in, lanes, width, depth);
}

void pack_panels(float* out, LanesView<bf16> in, Index lanes, Index width, Index depth) noexcept {
  const Index units = ceil_div(depth, 2) * 2;
  for_panels(out, in, lanes, width, width * units, [&](float* to, LanesView<bf16> panel, Index here) {
    pack_lines<kLine>(reinterpret_cast<std::byte*>(to), panel, here, width, depth, units,
                      [](Unit* line, const bf16* steps) {
                        for (Index p = 0; p < kLine; ++p) line[p] = Unit{steps[p].bits} << 16;
                      });
  });
}

void pack_panels(std::int16_t* out, LanesView<std::int8_t> in, Index lanes, Index width,
                 Index depth) noexcept {
  const Index units = ceil_div(depth, 4) * 2;
  for_panels(out, in, lanes, width, width * units * 2,
             [&](std::int16_t* to, LanesView<std::int8_t> panel, Index here) {
               pack_lines<2 * kLine>(reinterpret_cast<std::byte*>(to), panel, here, width, depth, units,
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
