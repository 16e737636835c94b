#include "nn/mlp.hpp"

#include <algorithm>

#include "kernels/rowwise/activation.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::nn {

MlpSublayer::MlpSublayer(const MlpConfig& config) : config_(config) {
  params_.norm.epsilon = config.norm_epsilon;
}

void MlpSublayer::visit_parameters(const ParameterVisitor& v) {
  visit(params_.norm, config_.width, config_.bias, tensor::within("norm", v));
  visit(params_.up, config_.width, config_.hidden, config_.bias, config_.weight_sd, tensor::within("up", v));
  visit(params_.down, config_.hidden, config_.width, config_.bias, config_.out_sd, tensor::within("down", v));
}

void MlpSublayer::visit_saved(BatchShape shape, const SavedVisitor& v) {
  visit(saved_.norm, shape, tensor::within("norm", v));
  v("pre_activation", saved_.pre_activation, shape.rows(), config_.hidden);
}

std::size_t MlpSublayer::scratch_bytes(const kernels::KernelTable& table, int threads,
                                       BatchShape shape) const {
  const Index rows = shape.rows();
  const std::size_t temporaries =
      kernels::round_up_to_cache_line(static_cast<std::size_t>(rows * config_.width) * sizeof(float)) +
      kernels::round_up_to_cache_line(static_cast<std::size_t>(rows * config_.hidden) * sizeof(float));
  return temporaries + std::max({linear_scratch_bytes(table, threads, rows, config_.width, config_.hidden),
                                 linear_scratch_bytes(table, threads, rows, config_.hidden, config_.width),
                                 kernels::rowwise_scratch_bytes(table, threads, rows, config_.hidden)});
}

void MlpSublayer::forward(ExecContext& ctx, BatchShape shape, MatrixView out, ConstMatrixView in) {
  const Index rows = shape.rows();
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView normed(frame.take<float>(static_cast<std::size_t>(rows * config_.width)), rows,
                          config_.width);
  const MatrixView activation(frame.take<float>(static_cast<std::size_t>(rows * config_.hidden)), rows,
                              config_.hidden);
  norm_forward(ctx, normed, saved_.norm, in, params_.norm);
  linear_forward(ctx, activation, normed, params_.up,
                 {.pre_activation = saved_.pre_activation, .gelu = true});
  linear_forward(ctx, out, activation, params_.down, {.residual = in});
}

void MlpSublayer::backward(ExecContext& ctx, BatchShape shape, MatrixView d_in, ConstMatrixView d_out,
                           ConstMatrixView in) {
  const Index rows = shape.rows();
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView tmp(frame.take<float>(static_cast<std::size_t>(rows * config_.width)), rows,
                       config_.width);
  const MatrixView wide(frame.take<float>(static_cast<std::size_t>(rows * config_.hidden)), rows,
                        config_.hidden);

  kernels::activation_forward(ctx, kernels::Activation::gelu, wide, saved_.pre_activation);
  linear_backward_parameters(ctx, params_.down, d_out, wide);  // out = activation W_down + b_down
  linear_backward_input(ctx, wide, params_.down, d_out);       // now d_activation
  kernels::activation_backward(ctx, kernels::Activation::gelu, wide, wide, saved_.pre_activation);
  norm_forward(ctx, tmp, saved_.norm, in, params_.norm);
  linear_backward_parameters(ctx, params_.up, wide, tmp);  // pre_activation = normed W_up + b_up
  linear_backward_input(ctx, tmp, params_.up, wide);
  norm_backward(ctx, tmp, tmp, saved_.norm, in, params_.norm);
  kernels::add(ctx, d_in, tmp, d_out);  // the residual join
}

}  // namespace loglog::nn
