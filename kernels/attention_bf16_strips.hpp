// What forward and backward of attention_bf16.hpp share: copies of rows, panels, and products of one tile of rows.
#pragma once
#include <algorithm>

#include "kernels/attention_bf16.hpp"
#include "kernels/gemm_packed.hpp"
#include "kernels/pack.hpp"
#include "kernels/scratch_pieces.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// Rows of a unit of work, and of a register tile, at most.
constexpr Index kMostRows = 256, kMostTileRows = Bf16Attention::kMostTileRows;

inline Index round_down(Index a, Index b) {
  return a / b * b;
}

// One cache line more than the columns: rows of a power of two would all begin in the same few sets of the cache.
inline Index padded_row(Index cols, Index bytes) {
  return round_up(cols, 64 / bytes) + 64 / bytes;
}

// Of float rows, or keys and values.
template <class Rows>
const bf16* bf16_data(const Rows& x) {
  return static_cast<const bf16*>(x.data);
}

// Whether n values are finite: the largest magnitude, as bits, is below that of infinity.
inline bool all_finite(const bf16* x, Index n) {
  std::int16_t largest = 0;
  for (Index i = 0; i < n; ++i) largest = std::max(largest, static_cast<std::int16_t>(x[i].bits & 0x7fff));
  return largest < 0x7f80;
}

inline bool rows_finite(const bf16* rows, Index row_stride, Index count, Index cols) {
  for (Index r = 0; r < count; ++r)
    if (!all_finite(rows + r * row_stride, cols)) return false;
  return true;
}

// Rows [first, last) of q or what has its shape, copied to `room`, `room_row` elements apart, with zeros up to whole groups of
// depth. In place they lie a power of two apart, in few sets of L1: backward is a fifth slower.
inline LinesView<bf16> group_rows(const AttentionGroup& g, const ConstFloatRows& x, Index first, Index last,
                                  Index padded, bf16* room, Index room_row) {
  bf16* out = room;
  for (Index r = first; r < last; ++r, out += room_row) {
    std::copy_n(bf16_data(x) + g.offset(r, x.row_stride), g.head_size, out);
    std::fill(out + g.head_size, out + padded, bf16{});
  }
  return {room, room_row, 1};
}

inline LinesView<bf16> from_line(const LinesView<bf16>& x, Index line) {
  return {x.data + line * x.line_stride, x.line_stride, x.depth_stride};
}

inline std::byte* element_at(const FloatRows& x, Index offset) {
  return static_cast<std::byte*>(x.data) + offset * static_cast<Index>(bytes_of(x.type));
}
inline const std::byte* element_at(const ConstFloatRows& x, Index offset) {
  return static_cast<const std::byte*>(x.data) + offset * static_cast<Index>(bytes_of(x.type));
}

// A right factor in panels of nr columns, `depth` padded steps deep.
struct StripPanels {
  const bf16* data;
  Index depth;
  bool finite;
};

class StripProducts {
 public:
  explicit StripProducts(const GemmBf16& gemm) : gemm_(gemm) {}

  Index mr() const { return gemm_.mr; }
  Index nr() const { return gemm_.nr; }
  Index padded_depth(Index depth) const { return round_up(depth, gemm_.depth_multiple); }
  Index first_group(Index step) const { return round_down(step, gemm_.depth_multiple); }
  Index panel_elements(Index depth, Index cols) const { return layout_of(gemm_).elements(depth, cols); }
  // Room for one packed tile of the left factor, in bytes; and for a panel with zeros in it, in elements.
  Index left_bytes(Index depth) const {
    return gemm_.mr * padded_depth(depth) * static_cast<Index>(sizeof(bf16));
  }

  StripPanels pack(bf16* out, LinesView<bf16> columns, Index cols, Index depth, bool finite) const {
    pack_panels(out, columns, cols, gemm_.nr, depth, {gemm_.group, gemm_.depth_multiple});
    return {out, padded_depth(depth), finite};
  }

  // C[rows, cols] = or += A[rows, depth] B[from .. from + depth, cols]; rows <= mr; depth whole multiples, which `a` has all of.
  void multiply(LinesView<bf16> a, Index rows, Index depth, const StripPanels& b, Index from, Index cols,
                float* c, Index c_row, bool add, std::byte* room) const {
    const bool in_place = gemm_.reads_a_in_place && a.depth_stride == 1 && rows % gemm_.row_multiple == 0;
    if (!in_place) pack_rows(gemm_, room, a, rows, depth);
    const void* const left = in_place ? static_cast<const void*>(a.data) : room;
    for (Index j = 0; j < cols; j += gemm_.nr)
      strip(rows, depth, left, in_place ? a.line_stride : 0, b.data + j * b.depth + from * gemm_.nr, cols - j,
            c + j, c_row, add);
  }

  // The same sum where row i of A takes the steps [first[i], last[i]) of `depth` and is 0 elsewhere, row by row, with zeros in
  // B's other steps.
  void multiply_limited(LinesView<bf16> a, Index rows, const Index* first, const Index* last,
                        const StripPanels& b, Index from, Index cols, float* c, Index c_row, std::byte* room,
                        bf16* panel_room) const {
    for (Index i = 0; i < rows; ++i) {
      if (first[i] >= last[i]) continue;
      const Index lo = first_group(first[i]), depth = padded_depth(last[i]) - lo;
      pack_rows(gemm_, room,
                {a.data + i * a.line_stride + lo * a.depth_stride, a.line_stride, a.depth_stride}, 1, depth);
      for (Index j = 0; j < cols; j += gemm_.nr) {
        std::copy_n(b.data + j * b.depth + (from + lo) * gemm_.nr, depth * gemm_.nr, panel_room);
        clear_steps(panel_room, 0, first[i] - lo);
        clear_steps(panel_room, last[i] - lo, depth);
        strip(1, depth, room, 0, panel_room, cols - j, c + i * c_row + j, c_row, true);
      }
    }
  }

 private:
  // One panel of B, of which `cols` columns are left.
  void strip(Index rows, Index depth, const void* a, Index a_row, const bf16* b, Index cols, float* c,
             Index c_row, bool add) const {
    gemm_.strip({.m = rows,
                 .groups = depth / gemm_.group,
                 .n = static_cast<int>(std::min<Index>(gemm_.nr, cols)),
                 .a = a,
                 .a_row = a_row,
                 .a_end = nullptr,
                 .row_compensation = nullptr,
                 .b = b,
                 .c = c,
                 .c_row = c_row,
                 .add = add});
  }

  void clear_steps(bf16* panel, Index first, Index last) const {
    const Index group = gemm_.group, nr = gemm_.nr;
    for (Index p = first; p < last; ++p)
      for (Index j = 0; j < nr; ++j) panel[p / group * group * nr + j * group + p % group] = bf16{};
  }

  const GemmBf16& gemm_;
};

}  // namespace loglog::kernels
