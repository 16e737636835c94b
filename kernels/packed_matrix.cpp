#include "kernels/packed_matrix.hpp"

#include <algorithm>
#include <type_traits>

#include "kernels/check_matrix.hpp"
#include "kernels/parallel.hpp"
#include "kernels/profile.hpp"

namespace loglog::kernels {
namespace {

const GemmF32& family_of(const KernelTable& table, float) {
  return *table.gemm_f32;
}
const GemmBf16& family_of(const KernelTable& table, bf16) {
  return *table.gemm_bf16;
}
const GemmS8& family_of(const KernelTable& table, std::int8_t) {
  return *table.gemm_s8;
}

// The columns of b that a thread packs at a time, as lines of elements of T. Of float32 they are rounded at `room` first.
LinesView<float> lines_of(const Rowwise&, ConstMatrix<float> b, float*) {
  return {b.data, b.col_stride, b.row_stride};
}
LinesView<bf16> lines_of(const Rowwise& rowwise, ConstMatrix<float> b, bf16* room) {
  const bool by_rows = b.col_stride == 1;  // else a column of b lies as a row
  const ConstMatrix<float> from = by_rows ? b : b.transposed();
  rowwise.narrow(Matrix<bf16>(room, from.rows, from.cols), from, Stores::cached);
  return by_rows ? LinesView<bf16>{room, 1, b.cols} : LinesView<bf16>{room, b.rows, 1};
}

// What is rounded before it is packed.
template <class T>
Index room_elements(const PanelLayout& layout, Index k) {
  return std::is_same_v<T, float> ? 0 : round_up(k * layout.nr, kCacheLineBytes / sizeof(T));
}

template <class T>
void pack_lines(T* out, LinesView<T> columns, Index count, const PanelLayout& layout, Index depth) {
  if constexpr (std::is_same_v<T, float>)
    pack_panels(out, columns, count, layout.nr, depth);
  else
    pack_panels(out, columns, count, layout.nr, depth, layout.grouping);
}

}  // namespace

template <class T>
PackedMatrix<T>::PackedMatrix(const KernelTable& table, Index rows, Index cols)
    : rows_(rows),
      cols_(cols),
      layout_(layout_of(family_of(table, T{}))),
      block_(block_for(layout_, rows, cols)) {
  std::fill_n(block_.template as<T>(), layout_.elements(rows, cols), T{});
}

template <class T>
PackedMatrix<T>::PackedMatrix(const KernelTable& table, ConstMatrix<T> b)
    : rows_(b.rows),
      cols_(b.cols),
      layout_(layout_of(family_of(table, T{}))),
      block_(block_for(layout_, b.rows, b.cols)) {
  pack_lines(block_.template as<T>(), {b.data, b.col_stride, b.row_stride}, cols_, layout_, rows_);
}

template <class T>
Block PackedMatrix<T>::block_for(const PanelLayout& layout, Index rows, Index cols) {
  check_size("b", rows, cols);
  return Block(static_cast<std::size_t>(layout.elements(rows, cols)) * sizeof(T));
}

template <class T>
void PackedMatrix<T>::check_pack(const ExecContext& ctx, Index rows, Index cols) const {
  LOGLOG_CHECK(layout_ == layout_of(family_of(ctx.kernels, T{})), "made for another table than {}",
               ctx.kernels.name);
  LOGLOG_CHECK(rows == rows_ && cols == cols_, "b is {}x{}, the room is for {}x{}", rows, cols, rows_, cols_);
}

template <class T>
void PackedMatrix<T>::pack(ExecContext& ctx, ConstMatrix<float> b) {
  check_pack(ctx, b.rows, b.cols);
  pack_columns(ctx, 0, b);
}

template <class T>
void PackedMatrix<T>::pack_columns(ExecContext& ctx, Index first_col, ConstMatrix<float> b) {
  // clang 14 makes every member of an explicit instantiation, whatever its constraints say.
  if constexpr (std::is_integral_v<T>) {
    LOGLOG_CHECK(false, "int8 weights are packed when they are made: rounding needs scales");
  } else {
    const Timed timed(ctx, KernelFamily::convert);
    check_pack(ctx, b.rows, cols_);
    LOGLOG_CHECK(first_col >= 0 && first_col % layout_.nr == 0 && b.cols >= 0 &&
                     b.cols <= cols_ - first_col && (b.cols % layout_.nr == 0 || first_col + b.cols == cols_),
                 "{} columns from {} on are no panels of {} of {}", b.cols, first_col, layout_.nr, cols_);
    const Index room = room_elements<T>(layout_, rows_);
    ScratchFrame frame(ctx.scratch);
    T* const rooms = frame.take<T>(static_cast<std::size_t>(ctx.threads * room));
    parallel_tasks(ctx.threads, ceil_div(b.cols, layout_.nr), [&](Index panel, int thread) {
      const Index first = panel * layout_.nr, count = std::min<Index>(layout_.nr, b.cols - first);
      const ConstMatrix<float> part = {b.data + first * b.col_stride, rows_, count, b.row_stride,
                                       b.col_stride};
      pack_lines(block_.template as<T>() + layout_.elements(rows_, first_col + first),
                 lines_of(*ctx.kernels.rowwise, part, rooms + thread * room), count, layout_, rows_);
    });
  }
}

// As many rows of b at a time as a panel has columns: steps of all panels of b, one panel of its transpose.
template <class T>
void PackedMatrix<T>::pack_both(ExecContext& ctx, PackedMatrix& plain, PackedMatrix& transposed,
                                ConstMatrix<float> b) {
  if constexpr (!std::is_same_v<T, bf16>) {
    LOGLOG_CHECK(false, "both forms are packed of bfloat16 alone");
  } else {
    const Timed timed(ctx, KernelFamily::convert);
    plain.check_pack(ctx, b.rows, b.cols);
    transposed.check_pack(ctx, b.cols, b.rows);
    LOGLOG_CHECK(b.col_stride == 1, "b has column stride {}", b.col_stride);
    const PanelLayout& layout = plain.layout_;
    const Index room = room_elements<T>(layout, b.cols);
    ScratchFrame frame(ctx.scratch);
    T* const rooms = frame.take<T>(static_cast<std::size_t>(ctx.threads * room));
    parallel_tasks(ctx.threads, ceil_div(b.rows, layout.nr), [&](Index panel, int thread) {
      const Index first = panel * layout.nr, count = std::min<Index>(layout.nr, b.rows - first);
      T* const rounded = rooms + thread * room;
      ctx.kernels.rowwise->narrow(Matrix<T>(rounded, count, b.cols),
                                  ConstMatrix<float>(b.row(first), count, b.cols, b.row_stride),
                                  Stores::cached);
      pack_lines(transposed.block_.template as<T>() + layout.elements(b.cols, first),
                 LinesView<T>{rounded, b.cols, 1}, count, layout, b.cols);
      for (Index col = 0; col < b.cols; col += layout.nr)
        pack_lines(plain.block_.template as<T>() + layout.offset(b.rows, first, col),
                   LinesView<T>{rounded + col, 1, b.cols}, std::min<Index>(layout.nr, b.cols - col), layout,
                   count);
    });
  }
}

std::size_t pack_scratch_bytes(const KernelTable& table, int threads, Index k) noexcept {
  const Index room = room_elements<bf16>(layout_of(*table.gemm_bf16), k);
  return round_up_to_cache_line(static_cast<std::size_t>(threads * room) * sizeof(bf16));
}

template class PackedMatrix<float>;
template class PackedMatrix<bf16>;
template class PackedMatrix<std::int8_t>;

}  // namespace loglog::kernels
