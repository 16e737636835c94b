#include "kernels/packed_matrix.hpp"

#include <type_traits>

#include "kernels/check_matrix.hpp"

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

}  // namespace

template <class T>
PackedMatrix<T>::PackedMatrix(const KernelTable& table, ConstMatrix<T> b)
    : rows_(b.rows), cols_(b.cols), layout_(layout_of(family_of(table, T{}))), block_(block_for(layout_, b)) {
  const LinesView<T> columns = {b.data, b.col_stride, b.row_stride};
  if constexpr (std::is_same_v<T, float>)
    pack_panels(block_.as<T>(), columns, cols_, layout_.nr, rows_);
  else
    pack_panels(block_.as<T>(), columns, cols_, layout_.nr, rows_, layout_.grouping);
}

template <class T>
Block PackedMatrix<T>::block_for(const PanelLayout& layout, ConstMatrix<T> b) {
  check_size("b", b.rows, b.cols);
  return Block(static_cast<std::size_t>(layout.elements(b.rows, b.cols)) * sizeof(T));
}

template class PackedMatrix<float>;
template class PackedMatrix<bf16>;
template class PackedMatrix<std::int8_t>;

}  // namespace loglog::kernels
