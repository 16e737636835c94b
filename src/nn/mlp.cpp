#include "nn/mlp.hpp"

#include <algorithm>

#include "kernels/rowwise/activation.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::nn {

using tensor::take_matrix;

MlpSublayer::MlpSublayer(const MlpConfig& config) : config_(config) {
  params_.norm.config = config.norm;
}

void MlpSublayer::visit_parameters(const ParameterVisitor& v) {
  visit(params_.norm, config_.width, tensor::within("norm", v));
  visit(params_.up, config_.width, up_width(), config_.bias, config_.weight_sd,
        tensor::within(config_.gated ? "gate_up" : "up", v));
  visit(params_.down, config_.hidden, config_.width, config_.bias, config_.out_sd, tensor::within("down", v));
}

void MlpSublayer::visit_saved(BatchShape shape, const SavedVisitor& v) {
  visit(saved_.norm, config_.norm, shape.rows(), tensor::within("norm", v));
  v("normed", saved_.normed, shape.rows(), config_.width, config_.products.type);
  if (config_.gated) {
    v("up", saved_.up, shape.rows(), up_width(), config_.products.type);
  } else {
    v("activation", saved_.activation, shape.rows(), config_.hidden, config_.products.type);
    v("slope", saved_.slope, shape.rows(), config_.hidden, config_.products.type);
  }
}

std::size_t MlpSublayer::scratch_bytes(const kernels::KernelTable& table, int threads,
                                       BatchShape shape) const {
  const Index rows = shape.rows();
  const auto bytes = [&](Index cols, FloatType type) { return tensor::arena_bytes(rows * cols, type); };
  const std::size_t temporaries = bytes(config_.width, config_.products.type) +
                                  bytes(config_.hidden, config_.products.type) +
                                  (config_.gated ? bytes(up_width(), config_.products.type) : 0) +
                                  branch_scratch_bytes(rows, config_.width);
  return temporaries + std::max({linear_scratch_bytes(table, threads, config_.products, rows, config_.width,
                                                      up_width(), params_.up.weight.frozen.get()),
                                 linear_scratch_bytes(table, threads, config_.products, rows, config_.hidden,
                                                      config_.width, params_.down.weight.frozen.get()),
                                 kernels::rowwise_scratch_bytes(table, threads, rows, up_width())});
}

void MlpSublayer::pack_weights(ExecContext& ctx) {
  pack(ctx, params_.up, config_.products);
  pack(ctx, params_.down, config_.products);
}

std::size_t MlpSublayer::packed_bytes(const kernels::KernelTable& table) const {
  return nn::packed_bytes(params_.up.weight, table, config_.width, up_width(), config_.products) +
         nn::packed_bytes(params_.down.weight, table, config_.hidden, config_.width, config_.products);
}

void MlpSublayer::forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in,
                          ConstMatrixView residual) {
  const Index rows = batch.shape.rows(), hidden = config_.hidden;
  kernels::ScratchFrame frame(ctx.scratch);
  FloatView activation = saved_.activation;  // (B*T, F)
  Probe* const probe = batch.probe;
  if (probe != nullptr) probe->stream(ctx, {Site::mlp_stream, config_.layer}, in);
  norm_forward(ctx, saved_.normed, saved_.norm, in, params_.norm);
  if (probe != nullptr) probe->input(ctx, {Site::up, config_.layer}, saved_.normed);
  if (config_.gated) {
    activation = take_matrix(frame, config_.products.type, rows, hidden);
    linear_forward(ctx, saved_.up, saved_.normed, params_.up);
    kernels::gated_forward(ctx, config_.activation, activation, saved_.up.columns(0, hidden),
                           saved_.up.columns(hidden, hidden));
  } else {
    linear_forward(ctx, activation, saved_.normed, params_.up,
                   {.activation = config_.activation, .slope = batch.backward ? saved_.slope : FloatView()});
  }
  if (probe != nullptr) probe->input(ctx, {Site::down, config_.layer}, activation);
  branch_forward_end(ctx, batch, config_.site, out, activation, params_.down, residual);
}

void MlpSublayer::backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                           ConstMatrixView d_residual, ConstMatrixView in) {
  const Index rows = batch.shape.rows(), hidden = config_.hidden;
  const FloatView& up = saved_.up;
  kernels::ScratchFrame frame(ctx.scratch);
  const FloatView wide = take_matrix(frame, config_.products.type, rows, hidden);             // (B*T, F)
  const FloatView d_normed = take_matrix(frame, config_.products.type, rows, config_.width);  // (B*T, C)
  const ConstFloatView d_branch =
      branch_gradient(ctx, frame, batch, config_.site, config_.products.type, d_out);

  FloatView d_up = wide;
  if (config_.gated) {
    d_up = take_matrix(frame, config_.products.type, rows, up_width());
    kernels::gated_forward(ctx, config_.activation, wide, up.columns(0, hidden), up.columns(hidden, hidden));
    linear_backward_parameters(ctx, params_.down, d_branch, wide);  // out = (act(g) u) W_down + b_down
    linear_backward_input(ctx, wide, params_.down, d_branch);       // now of act(g) u
    kernels::gated_backward(ctx, config_.activation, d_up.columns(0, hidden), d_up.columns(hidden, hidden),
                            wide, up.columns(0, hidden), up.columns(hidden, hidden));
  } else {
    linear_backward_parameters(ctx, params_.down, d_branch,
                               saved_.activation);  // out = activation W_down + b_down
    linear_backward_input(ctx, wide, params_.down, d_branch, {.factor = saved_.slope});
  }
  linear_backward_parameters(ctx, params_.up, d_up, saved_.normed);  // up = normed W_up + b_up
  linear_backward_input(ctx, d_normed, params_.up, d_up);
  norm_backward(ctx, d_in, d_normed, saved_.norm, in, params_.norm, d_residual);
}

}  // namespace loglog::nn
