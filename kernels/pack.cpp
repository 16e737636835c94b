#include "kernels/pack.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

namespace loglog::kernels {
namespace {

// What is copied at once: a float, two bfloat16 or four int8, all of one line and side by side in depth.
using Unit = std::uint32_t;

// The walk through the operand decides what packing costs: 12% of a product of 1024 cubed on avx2 when each panel was
// read by itself, since a short piece of a far row is over before the prefetcher has noticed it.

// Four units, a vector of every baseline.
using Quad [[gnu::vector_size(16)]] = Unit;
constexpr Index kQuad = 4;
// Units in a cache line.
constexpr Index kCacheLine = 16;

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

// Lines that lie side by side (B as it is, A transposed) and units of one step: several panels at once, so that each row
// is read in a piece of a few cache lines.
void pack_neighbours(std::byte* out, const float* in, Index depth_stride, Index panels, Index panel_width,
                     Index depth) {
  constexpr Index kPanels = 8;
  for (Index first = 0; first < panels; first += kPanels) {
    const Index count = std::min(kPanels, panels - first);
    for (Index p = 0; p < depth; ++p) {
      const float* from = in + first * panel_width + p * depth_stride;
      for (Index panel = 0; panel < count; ++panel, from += panel_width) {
        std::byte* const to = out + units_bytes(((first + panel) * depth + p) * panel_width);
        Index i = 0;
        for (; i + kQuad <= panel_width; i += kQuad) store_quad(to + units_bytes(i), load_quad(from + i));
        for (; i < panel_width; ++i) store_unit(to + units_bytes(i), load_unit(from + i));
      }
    }
  }
}

// Four lines, each contiguous in depth, for four units of depth: a 4 x 4 transpose in registers.
void transpose_quads(std::byte* to, Index step_bytes, const std::byte* from, Index line_bytes) {
  const Quad a = load_quad(from), b = load_quad(from + line_bytes);
  const Quad c = load_quad(from + 2 * line_bytes), d = load_quad(from + 3 * line_bytes);
  const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store_quad(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store_quad(to + step_bytes, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store_quad(to + 2 * step_bytes, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store_quad(to + 3 * step_bytes, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

// Lines of one panel, each contiguous in depth (A as it is, B transposed), `units` of them: a cache line of every line
// at a time.
void pack_apart(std::byte* out, const std::byte* in, Index line_bytes, Index lines, Index panel_width,
                Index units) {
  const Index step_bytes = units_bytes(panel_width);
  for (Index first = 0; first < units; first += kCacheLine) {
    const Index steps = std::min(kCacheLine, units - first);
    const std::byte* const from = in + units_bytes(first);
    std::byte* const to = out + first * step_bytes;
    Index i = 0;
    if (steps == kCacheLine) {
      for (; i + kQuad <= lines; i += kQuad) {
        for (Index p = 0; p < kCacheLine; p += kQuad) {
          transpose_quads(to + p * step_bytes + units_bytes(i), step_bytes,
                          from + i * line_bytes + units_bytes(p), line_bytes);
        }
      }
    }
    for (; i < lines; ++i) {
      for (Index p = 0; p < steps; ++p) {
        store_unit(to + p * step_bytes + units_bytes(i), load_unit(from + i * line_bytes + units_bytes(p)));
      }
    }
  }
}

// Any view, through a buffer of one cache line per line, kLines of them at a time: convert(units, steps) turns kSteps
// steps of a line, zeros where there is nothing, into kCacheLine units.
template <Index kSteps, class T, class Convert>
void pack_buffered(std::byte* out, LinesView<T> in, Index lines, Index panel_width, Index depth, Index units,
                   Convert&& convert) {
  constexpr Index kLines = 64;
  Unit buffer[kLines * kCacheLine];
  for (Index first = 0; first < units; first += kCacheLine) {
    const Index step = first * kSteps / kCacheLine;
    for (Index line = 0; line < panel_width; line += kLines) {
      const Index here = std::min(kLines, panel_width - line);
      for (Index i = 0; i < here; ++i) {
        const Index count = line + i < lines ? std::clamp<Index>(depth - step, 0, kSteps) : 0;
        const T* from = count > 0 ? in.data + (line + i) * in.line_stride + step * in.depth_stride : nullptr;
        if (count == kSteps && in.depth_stride == 1) {
          convert(buffer + i * kCacheLine, from);
          continue;
        }
        T steps[kSteps] = {};
        for (Index p = 0; p < count; ++p) steps[p] = from[p * in.depth_stride];
        convert(buffer + i * kCacheLine, steps);
      }
      pack_apart(out + units_bytes(first * panel_width + line), reinterpret_cast<const std::byte*>(buffer),
                 units_bytes(kCacheLine), here, panel_width, std::min(kCacheLine, units - first));
    }
  }
}

template <class V>
V load_vector(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <class V>
void store_vector(void* to, V v) {
  std::memcpy(to, &v, sizeof v);
}
using Bytes [[gnu::vector_size(16)]] = std::uint8_t;
using Halves [[gnu::vector_size(16)]] = std::uint16_t;

// Two steps of 8 lines, four of 16.
void interleave_vector(bf16* out, const bf16* from, Index stride) {
  const auto a = load_vector<Halves>(from), b = load_vector<Halves>(from + stride);
  store_vector(out, __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
  store_vector(out + 8, __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
}
void interleave_vector(std::int8_t* out, const std::int8_t* from, Index stride) {
  const auto pairs = [&](Index step, Halves& low, Halves& high) {
    const auto a = load_vector<Bytes>(from + step * stride),
               b = load_vector<Bytes>(from + (step + 1) * stride);
    low = std::bit_cast<Halves>(
        __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    high = std::bit_cast<Halves>(
        __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
  };
  Halves low[2], high[2];
  pairs(0, low[0], high[0]);
  pairs(2, low[1], high[1]);
  const auto both = [&](std::int8_t* to, Halves first, Halves second) {
    store_vector(to, __builtin_shufflevector(first, second, 0, 8, 1, 9, 2, 10, 3, 11));
    store_vector(to + 16, __builtin_shufflevector(first, second, 4, 12, 5, 13, 6, 14, 7, 15));
  };
  both(out, low[0], low[1]);
  both(out + 32, high[0], high[1]);
}

// A group of two or four neighbouring steps of lines that lie side by side.
template <int kGroup, class T>
void interleave(T* out, const T* from, Index stride, Index lines) {
  constexpr Index kLines = 16 / static_cast<Index>(sizeof(T));
  Index i = 0;
  if constexpr (kGroup > 1) {
    for (; i + kLines <= lines; i += kLines) interleave_vector(out + i * kGroup, from + i, stride);
    if (lines >= kLines && i < lines) {  // the last ones with some that are done
      i = lines - kLines;
      return interleave_vector(out + i * kGroup, from + i, stride);
    }
  }
  for (; i < lines; ++i) {
    for (int r = 0; r < kGroup; ++r) out[i * kGroup + r] = from[i + r * stride];
  }
}

// Units that are a group of T as it is.
template <class T>
void pack_units(T* out, LinesView<T> in, Index lines, Index panel_width, Index depth) {
  constexpr Index kGroup = sizeof(Unit) / sizeof(T);
  const Index units = ceil_div(depth, kGroup);
  auto* const bytes = reinterpret_cast<std::byte*>(out);
  const bool whole = lines == panel_width && depth % kGroup == 0;
  if (whole && in.depth_stride == 1) {
    return pack_apart(bytes, reinterpret_cast<const std::byte*>(in.data),
                      in.line_stride * static_cast<Index>(sizeof(T)), lines, panel_width, units);
  }
  if (whole && in.line_stride == 1) {
    for (Index q = 0; q < units; ++q)
      interleave<kGroup>(out + q * panel_width * kGroup, in.data + q * kGroup * in.depth_stride,
                         in.depth_stride, panel_width);
    return;
  }
  pack_buffered<kCacheLine * kGroup>(
      bytes, in, lines, panel_width, depth, units,
      [](Unit* to, const T* steps) { std::memcpy(to, steps, units_bytes(kCacheLine)); });
}

// one_panel(out, view, lines) for panel after panel, each `size` elements of Out. Without depth there is nothing that a
// view could point to.
template <class Out, class T, class Pack>
void for_panels(Out* out, LinesView<T> in, Index lines, Index panel_width, Index size, Pack&& one_panel) {
  if (size == 0) return;
  for (Index first = 0; first < lines; first += panel_width, out += size) {
    const LinesView<T> panel = {in.data + first * in.line_stride, in.line_stride, in.depth_stride};
    one_panel(out, panel, std::min(panel_width, lines - first));
  }
}

// Eight steps of eight lines that lie side by side: an 8 x 8 transpose, to lines `to_line` elements apart.
void transpose_halves(bf16* to, Index to_line, const bf16* from, Index stride) {
  Halves a[8], b[8];
  for (Index r = 0; r < 8; ++r) a[r] = load_vector<Halves>(from + r * stride);
  const auto interleave_pairs = [](Halves* out, const Halves* in) {
    for (Index r = 0; r < 4; ++r) {
      out[2 * r] = __builtin_shufflevector(in[r], in[r + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      out[2 * r + 1] = __builtin_shufflevector(in[r], in[r + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
  };
  interleave_pairs(b, a);
  interleave_pairs(a, b);
  interleave_pairs(b, a);
  for (Index i = 0; i < 8; ++i) store_vector(to + i * to_line, b[i]);
}

// A group of some lines: element by element, but eight by eight where they lie side by side.
template <class T>
void gather_group(T* to, const T* from, Index lines, Index line_stride, Index count, Index depth_stride,
                  Index group) {
  Index done = 0;  // lines
  if constexpr (sizeof(T) == 2) {
    if (line_stride == 1 && count % 8 == 0) {
      for (; done + 8 <= lines; done += 8)
        for (Index r = 0; r < count; r += 8)
          transpose_halves(to + done * group + r, group, from + done + r * depth_stride, depth_stride);
    }
  }
  for (Index i = done; i < lines; ++i)
    for (Index r = 0; r < count; ++r) to[i * group + r] = from[i * line_stride + r * depth_stride];
}

std::int8_t plus_128(std::int8_t x) {
  return static_cast<std::int8_t>(x ^ -128);
}

// Groups of any size. A piece of a line that is contiguous in depth is copied by vectors: for the tiles of AMX it is a cache line.
template <class T>
void pack_wide_groups(T* out, LinesView<T> in, Index lines, Index panel_width, Index depth,
                      Grouping grouping) {
  constexpr Index kVector = units_bytes(kQuad) / static_cast<Index>(sizeof(T));
  const Index group = grouping.group, end = round_up(depth, grouping.depth_multiple);
  for (Index p = 0; p < end; p += group, out += panel_width * group) {
    const Index count = std::clamp<Index>(depth - p, 0, group);
    if (lines < panel_width || count < group) std::fill_n(out, panel_width * group, T{});
    if (count == 0) continue;
    const T* const from = in.data + p * in.depth_stride;
    if (in.depth_stride != 1) {
      gather_group(out, from, lines, in.line_stride, count, in.depth_stride, group);
      continue;
    }
    for (Index i = 0; i < lines; ++i) {
      const T* const line = from + i * in.line_stride;
      Index r = 0;
      for (; r + kVector <= count; r += kVector)
        std::memcpy(out + i * group + r, line + r, units_bytes(kQuad));
      for (; r < count; ++r) out[i * group + r] = line[r];
    }
  }
}

// Whole panels of lines that lie side by side, a few steps of all of them at a time: so rows are read from end to end, as
// hardware expects. Returns how many lines these are; 0 where that cannot be done.
template <class T>
Index pack_side_by_side(T* out, LinesView<T> in, Index lines, Index panel_width, Index depth,
                        Grouping grouping) {
  constexpr Index kGroup = kUnits<T>.group, kTransposed = 8;
  const Index group = grouping.group, steps = round_up(depth, grouping.depth_multiple);
  const bool units = group == kGroup;
  const bool transposes = sizeof(T) == 2 && group % kTransposed == 0 && panel_width % kTransposed == 0;
  if (in.line_stride != 1 || depth % group != 0 || !(units || transposes)) return 0;
  const Index whole = lines / panel_width * panel_width;
  for (Index p = 0; p < depth; p += units ? kGroup : kTransposed) {
    const T* from = in.data + p * in.depth_stride;
    T* to = out + p / group * group * panel_width + p % group;
    for (Index line = 0; line < whole; line += panel_width, from += panel_width, to += panel_width * steps) {
      if (units) {
        interleave<kGroup>(to, from, in.depth_stride, panel_width);
      } else if constexpr (sizeof(T) == 2) {
        for (Index i = 0; i < panel_width; i += kTransposed)
          transpose_halves(to + i * group, group, from + i, in.depth_stride);
      }
    }
  }
  for (T* panel = out; panel < out + whole * steps; panel += panel_width * steps)
    std::fill(panel + panel_width * depth, panel + panel_width * steps, T{});
  return whole;
}

template <class T>
void pack_groups(T* out, LinesView<T> in, Index lines, Index panel_width, Index depth, Grouping grouping) {
  const Index steps = round_up(depth, grouping.depth_multiple), size = panel_width * steps;
  const Index done = pack_side_by_side(out, in, lines, panel_width, depth, grouping);
  const LinesView<T> rest = {in.data + done * in.line_stride, in.line_stride, in.depth_stride};
  for_panels(out + done * steps, rest, lines - done, panel_width, size,
             [&](T* to, LinesView<T> panel, Index here) {
               if (grouping.group != kUnits<T>.group)
                 return pack_wide_groups(to, panel, here, panel_width, depth, grouping);
               pack_units(to, panel, here, panel_width, depth);
               std::fill(to + panel_width * round_up(depth, grouping.group), to + size, T{});
             });
  if constexpr (sizeof(T) == 1) {
    T* const end = out + ceil_div(lines, panel_width) * size;
    if (grouping.plus_128) std::transform(out, end, out, plus_128);
  }
}

// For pack_buffered: bfloat16 as float32.
void widen_bf16(Unit* to, const bf16* steps) {
  for (Index p = 0; p < kCacheLine; ++p) to[p] = Unit{steps[p].bits} << 16;
}

// int8 as int16, steps of a group of four in the order 0 2 1 3.
void widen_s8(Unit* to, const std::int8_t* steps) {
  constexpr Index kSteps = 2 * kCacheLine;
  const auto widened = [](std::int8_t step) { return static_cast<std::int16_t>(step); };
  std::int16_t words[kSteps];
  for (Index q = 0; q < kSteps; q += 4) {
    words[q] = widened(steps[q]);
    words[q + 1] = widened(steps[q + 2]);
    words[q + 2] = widened(steps[q + 1]);
    words[q + 3] = widened(steps[q + 3]);
  }
  std::memcpy(to, words, sizeof words);
}

}  // namespace

void pack_panels(float* out, LinesView<float> in, Index lines, Index panel_width, Index depth) noexcept {
  if (in.line_stride != 1 || depth == 0)
    return pack_groups(out, in, lines, panel_width, depth, kUnits<float>);
  const Index whole = lines / panel_width * panel_width;
  pack_neighbours(reinterpret_cast<std::byte*>(out), in.data, in.depth_stride, lines / panel_width,
                  panel_width, depth);
  if (whole == lines) return;
  const LinesView<float> rest = {in.data + whole, 1, in.depth_stride};
  pack_groups(out + whole * depth, rest, lines - whole, panel_width, depth, kUnits<float>);
}

void pack_panels(bf16* out, LinesView<bf16> in, Index lines, Index panel_width, Index depth,
                 Grouping grouping) noexcept {
  pack_groups(out, in, lines, panel_width, depth, grouping);
}

void pack_panels(std::int8_t* out, LinesView<std::int8_t> in, Index lines, Index panel_width, Index depth,
                 Grouping grouping) noexcept {
  pack_groups(out, in, lines, panel_width, depth, grouping);
}

void pack_panels(float* out, LinesView<bf16> in, Index lines, Index panel_width, Index depth) noexcept {
  const Index units = ceil_div(depth, 2) * 2;
  for_panels(out, in, lines, panel_width, panel_width * units,
             [&](float* to, LinesView<bf16> panel, Index here) {
               pack_buffered<kCacheLine>(reinterpret_cast<std::byte*>(to), panel, here, panel_width, depth,
                                         units, widen_bf16);
             });
}

void pack_panels(std::int16_t* out, LinesView<std::int8_t> in, Index lines, Index panel_width,
                 Index depth) noexcept {
  const Index units = ceil_div(depth, 4) * 2;
  for_panels(out, in, lines, panel_width, panel_width * units * 2,
             [&](std::int16_t* to, LinesView<std::int8_t> panel, Index here) {
               pack_buffered<2 * kCacheLine>(reinterpret_cast<std::byte*>(to), panel, here, panel_width,
                                             depth, units, widen_s8);
             });
}

}  // namespace loglog::kernels
