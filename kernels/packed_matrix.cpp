#include "kernels/packed_matrix.hpp"

#include <algorithm>

namespace loglog::kernels {
namespace {

template <class Kernel>
PanelLayout layout(const Kernel& kernel) {
  return {kernel.nr, kernel.group, std::max(kernel.group, kernel.a_group)};
}

// Whole panels over whole groups, then the zeros up to the padded depth behind the steps of each panel.
template <class T>
void pack(T* out, ConstMatrix<T> b, const PanelLayout& layout) {
  const Index depth = layout.padded_depth(b.rows), packed = ceil_div(b.rows, layout.group) * layout.group;
  for (Index col = 0; col < b.cols; col += layout.nr, out += layout.nr * depth) {
    pack_panels(out, LanesView<T>{b.data + col * b.col_stride, b.col_stride, b.row_stride},
                std::min<Index>(layout.nr, b.cols - col), layout.nr, b.rows, layout.group);
    std::fill(out + layout.nr * packed, out + layout.nr * depth, T{});
  }
}

}  // namespace

PanelLayout layout_of(const GemmBf16& kernel) {
  return layout(kernel);
}
PanelLayout layout_of(const GemmS8& kernel) {
  return layout(kernel);
}

void pack_columns(bf16* out, ConstMatrix<bf16> b, const PanelLayout& layout) {
  pack(out, b, layout);
}
void pack_columns(std::int8_t* out, ConstMatrix<std::int8_t> b, const PanelLayout& layout) {
  pack(out, b, layout);
}

void pack_rows_for(const GemmBf16& kernel, std::byte* out, LanesView<bf16> in, Index rows, Index depth) {
  if (kernel.packed_a == PackedA::widened)
    pack_panels(reinterpret_cast<float*>(out), in, rows, kernel.mr, depth);
  else
    pack_panels(reinterpret_cast<bf16*>(out), in, rows, kernel.mr, depth, kernel.a_group);
}
void pack_rows_for(const GemmS8& kernel, std::byte* out, LanesView<std::int8_t> in, Index rows, Index depth) {
  if (kernel.packed_a == PackedA::widened)
    pack_panels(reinterpret_cast<std::int16_t*>(out), in, rows, kernel.mr, depth);
  else if (kernel.packed_a == PackedA::offset)
    pack_panels(reinterpret_cast<std::uint8_t*>(out), in, rows, kernel.mr, depth);
  else
    pack_panels(reinterpret_cast<std::int8_t*>(out), in, rows, kernel.mr, depth, kernel.a_group);
}

void sum_columns(std::int32_t* sums, const std::int8_t* packed, Index k, Index n, const PanelLayout& layout) {
  const Index groups = layout.padded_depth(k) / layout.group;
  for (Index col = 0; col < n; col += layout.nr, sums += layout.nr) {
    std::fill_n(sums, layout.nr, 0);
    for (Index q = 0; q < groups; ++q) {
      for (Index j = 0; j < layout.nr; ++j) {
        for (Index r = 0; r < layout.group; ++r) sums[j] += *packed++;
      }
    }
  }
}

template <>
PackedMatrix<bf16>::PackedMatrix(const KernelTable& table, ConstMatrix<bf16> b)
    : rows_(b.rows), cols_(b.cols), layout_(layout_of(*table.gemm_bf16)) {
  data_.reset(new (std::align_val_t{kCacheLineBytes}) bf16[layout_.elements(rows_, cols_)]);
  pack_columns(data_.get(), b, layout_);
}

template <>
PackedMatrix<std::int8_t>::PackedMatrix(const KernelTable& table, ConstMatrix<std::int8_t> b)
    : rows_(b.rows), cols_(b.cols), layout_(layout_of(*table.gemm_s8)) {
  data_.reset(new (std::align_val_t{kCacheLineBytes}) std::int8_t[layout_.elements(rows_, cols_)]);
  pack_columns(data_.get(), b, layout_);
  column_sums_.resize(round_up(cols_, layout_.nr));
  sum_columns(column_sums_.data(), data_.get(), rows_, cols_, layout_);
}

}  // namespace loglog::kernels
