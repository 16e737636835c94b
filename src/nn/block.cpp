#include "nn/block.hpp"

#include <algorithm>

namespace loglog::nn {

Block::Block(const AttentionConfig& attention, const MlpConfig& mlp)
    : width_(attention.width), attention_(attention), mlp_(mlp) {}

void Block::visit_parameters(const ParameterVisitor& v) {
  attention_.visit_parameters(tensor::within("attention", v));
  mlp_.visit_parameters(tensor::within("mlp", v));
}

void Block::visit_saved(BatchShape shape, const SavedVisitor& v) {
  attention_.visit_saved(shape, tensor::within("attention", v));
  v("mid", mid_, shape.rows(), width_);
  mlp_.visit_saved(shape, tensor::within("mlp", v));
}

std::size_t Block::scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const {
  const auto d_mid = static_cast<std::size_t>(shape.rows() * width_) * sizeof(float);
  return kernels::round_up_to_cache_line(d_mid) +
         std::max(attention_.scratch_bytes(table, threads, shape), mlp_.scratch_bytes(table, threads, shape));
}

void Block::forward(ExecContext& ctx, const Batch& batch, MatrixView out, ConstMatrixView in) {
  attention_.forward(ctx, batch.shape, mid_, in);
  mlp_.forward(ctx, batch.shape, out, mid_);
}

void Block::backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                     ConstMatrixView in) {
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView d_mid(frame.take<float>(static_cast<std::size_t>(batch.shape.rows() * width_)),
                         batch.shape.rows(),
                         width_);  // (B*T, C)
  mlp_.backward(ctx, batch.shape, d_mid, d_out, mid_);
  attention_.backward(ctx, batch.shape, d_in, d_mid, in);
}

}  // namespace loglog::nn
