#include "nn/loss_head.hpp"

#include <algorithm>

#include "kernels/rowwise/cross_entropy.hpp"

namespace loglog::nn {

using kernels::Accumulate;

LossHead::LossHead(Index vocab, Index width, bool bias, float norm_epsilon, float initial_sd,
                   const Parameter* shared)
    : vocab_(vocab), width_(width), bias_(bias), initial_sd_(initial_sd), shared_(shared) {
  params_.norm.epsilon = norm_epsilon;
}

void LossHead::visit_parameters(const ParameterVisitor& v) {
  visit(params_.norm, width_, bias_, tensor::within("norm", v));
  if (shared_ == nullptr)
    v("weight", params_.weight, vocab_, width_, tensor::Decay::yes, {0.0f, initial_sd_});
}

void LossHead::visit_saved(BatchShape shape, const SavedVisitor& v) {
  visit(saved_.norm, shape, tensor::within("norm", v));
  v("d_logits", saved_.d_logits, shape.rows(), vocab_);
}

std::size_t LossHead::scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const {
  const Index rows = shape.rows();
  return kernels::round_up_to_cache_line(static_cast<std::size_t>(rows * width_) * sizeof(float)) +
         std::max(linear_scratch_bytes(table, threads, rows, width_, vocab_),
                  linear_scratch_bytes(table, threads, rows, vocab_, width_));
}

void LossHead::forward(ExecContext& ctx, const Batch& batch, MatrixView, ConstMatrixView in) {
  const Index rows = batch.shape.rows();
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView normed(frame.take<float>(static_cast<std::size_t>(rows * width_)), rows,
                          width_);  // (B*T, C)
  norm_forward(ctx, normed, saved_.norm, in, params_.norm);
  const MatrixView logits = saved_.d_logits;  // the gradient takes their place
  kernels::gemm(ctx, normed, weight().matrix().transposed(), logits);
  if (batch.backward) {
    kernels::cross_entropy_forward_backward(ctx, batch.losses, saved_.d_logits, logits, batch.targets,
                                            batch.scale);
  } else {
    kernels::cross_entropy_forward(ctx, batch.losses, logits, batch.targets);
  }
}

void LossHead::backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView,
                        ConstMatrixView in) {
  const Index rows = batch.shape.rows();
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView tmp(frame.take<float>(static_cast<std::size_t>(rows * width_)), rows, width_);  // (B*T, C)
  norm_forward(ctx, tmp, saved_.norm, in, params_.norm);
  const ConstMatrixView d_logits = saved_.d_logits;
  kernels::gemm(ctx, d_logits.transposed(), tmp, weight().d_matrix(),
                Accumulate::yes);  // logits = normed W^T
  kernels::gemm(ctx, d_logits, weight().matrix(), tmp);
  norm_backward(ctx, d_in, tmp, saved_.norm, in, params_.norm);
}

}  // namespace loglog::nn
