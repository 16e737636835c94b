#include "nn/packed_weight.hpp"

namespace loglog::nn {

using Packed = kernels::PackedMatrix<bf16>;

void PackedWeight::pack(ExecContext& ctx, ConstMatrixView weight) {
  if (plain_ == nullptr) {
    plain_ = std::make_unique<Packed>(ctx.kernels, weight.rows, weight.cols);
    transposed_ = std::make_unique<Packed>(ctx.kernels, weight.cols, weight.rows);
  }
  plain_->pack(ctx, weight);
  transposed_->pack(ctx, weight.transposed());
}

std::size_t PackedWeight::bytes(const kernels::KernelTable& table, Index rows, Index cols) {
  const kernels::PanelLayout layout = kernels::layout_of(*table.gemm_bf16);
  return static_cast<std::size_t>(layout.elements(rows, cols) + layout.elements(cols, rows)) * sizeof(bf16);
}

}  // namespace loglog::nn
