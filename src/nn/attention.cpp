#include "nn/attention.hpp"

#include <algorithm>

#include "kernels/rowwise/sums.hpp"

namespace loglog::nn {

AttentionSublayer::AttentionSublayer(const AttentionConfig& config) : config_(config) {
  params_.norm.epsilon = config.norm_epsilon;
}

kernels::AttentionShape AttentionSublayer::attention_shape(BatchShape shape) const {
  return {shape.batch, shape.time, config_.heads, config_.width / config_.heads};
}

void AttentionSublayer::visit_parameters(const ParameterVisitor& v) {
  const Index c = config_.width;
  visit(params_.norm, c, config_.bias, tensor::within("norm", v));
  visit(params_.qkv, c, 3 * c, config_.bias, config_.weight_sd, tensor::within("qkv", v));
  visit(params_.out, c, c, config_.bias, config_.out_sd, tensor::within("out", v));
}

void AttentionSublayer::visit_saved(BatchShape shape, const SavedVisitor& v) {
  visit(saved_.norm, shape, tensor::within("norm", v));
  v("qkv", saved_.qkv, shape.rows(), 3 * config_.width);
  v("mixed", saved_.mixed, shape.rows(), config_.width);
  v("lse", saved_.lse, 1, shape.rows() * config_.heads);
}

std::size_t AttentionSublayer::scratch_bytes(const kernels::KernelTable& table, int threads,
                                             BatchShape shape) const {
  const Index rows = shape.rows();
  const Index c = config_.width;
  const std::size_t temporaries =
      kernels::round_up_to_cache_line(static_cast<std::size_t>(rows * c) * sizeof(float)) +
      kernels::round_up_to_cache_line(static_cast<std::size_t>(rows * 3 * c) * sizeof(float));
  return temporaries + std::max({linear_scratch_bytes(table, threads, rows, c, 3 * c),
                                 linear_scratch_bytes(table, threads, rows, c, c),
                                 kernels::rowwise_scratch_bytes(table, threads, rows, 3 * c),
                                 kernels::attention_scratch_bytes(table, threads, attention_shape(shape))});
}

void AttentionSublayer::forward(ExecContext& ctx, BatchShape shape, MatrixView out, ConstMatrixView in) {
  const Index c = config_.width;
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView normed(frame.take<float>(static_cast<std::size_t>(shape.rows() * c)), shape.rows(),
                          c);  // (B*T, C)
  norm_forward(ctx, normed, saved_.norm, in, params_.norm);
  linear_forward(ctx, saved_.qkv, normed, params_.qkv);
  kernels::attention_forward(ctx, saved_.mixed, saved_.lse.data, saved_.qkv.columns(0, c),
                             saved_.qkv.columns(c, c), saved_.qkv.columns(2 * c, c), attention_shape(shape));
  linear_forward(ctx, out, saved_.mixed, params_.out, {.residual = in});
}

void AttentionSublayer::backward(ExecContext& ctx, BatchShape shape, MatrixView d_in, ConstMatrixView d_out,
                                 ConstMatrixView in) {
  const Index c = config_.width;
  const Index rows = shape.rows();
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView tmp(frame.take<float>(static_cast<std::size_t>(rows * c)), rows, c);  // (B*T, C)
  const MatrixView d_qkv(frame.take<float>(static_cast<std::size_t>(rows * 3 * c)), rows,
                         3 * c);  // (B*T, 3C)
  const MatrixView qkv = saved_.qkv;

  linear_backward_parameters(ctx, params_.out, d_out, saved_.mixed);  // out = mixed W_out + b_out
  const MatrixView d_mixed = d_in;                                    // free until the last line
  linear_backward_input(ctx, d_mixed, params_.out, d_out);
  kernels::attention_backward(ctx, d_qkv.columns(0, c), d_qkv.columns(c, c), d_qkv.columns(2 * c, c), d_mixed,
                              qkv.columns(0, c), qkv.columns(c, c), qkv.columns(2 * c, c), saved_.mixed,
                              saved_.lse.data, attention_shape(shape));
  norm_forward(ctx, tmp, saved_.norm, in, params_.norm);     // cheaper to compute again than to keep
  linear_backward_parameters(ctx, params_.qkv, d_qkv, tmp);  // qkv = normed W_qkv + b_qkv
  linear_backward_input(ctx, tmp, params_.qkv, d_qkv);
  norm_backward(ctx, tmp, tmp, saved_.norm, in, params_.norm);
  kernels::add(ctx, d_in, tmp, d_out);  // the residual join
}

}  // namespace loglog::nn
