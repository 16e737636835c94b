#include "nn/loss_head.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/rowwise/cross_entropy.hpp"
#include "kernels/rowwise/sums.hpp"
#include "tensor/frozen_weight.hpp"

namespace loglog::nn {

using tensor::take_matrix;

LossHead::LossHead(const LossHeadConfig& config, const Parameter* shared) : config_(config), shared_(shared) {
  params_.norm.config = config.norm;
}

void LossHead::visit_parameters(const ParameterVisitor& v) {
  visit(params_.norm, config_.width, tensor::within("norm", v));
  if (shared_ == nullptr)
    v("weight", params_.weight, config_.vocab, config_.width, tensor::Decay::yes, {0.0f, config_.initial_sd});
}

void LossHead::visit_saved(BatchShape shape, const SavedVisitor& v) {
  visit(saved_.norm, config_.norm, shape.rows(), tensor::within("norm", v));
  v("d_normed", saved_.d_normed, shape.rows(), config_.width);
}

Index LossHead::chunk_rows(Index rows) const {
  constexpr Index kLogits =
      Index{1} << 25;  // 128 MiB; GPT-2's words: 640 rows, which still multiply at full speed
  constexpr Index kStep = 64;
  return std::min(rows, std::max(kStep, kLogits / config_.vocab / kStep * kStep));
}

std::size_t LossHead::scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const {
  const Index rows = shape.rows(), chunk = chunk_rows(rows), v = config_.vocab, c = config_.width;
  const std::size_t temporaries = tensor::arena_bytes(rows * c, config_.products.type) +
                                  tensor::arena_bytes(chunk * v, FloatType::float32) +
                                  tensor::arena_bytes(chunk * std::max(v, c), config_.products.type);
  if (const auto* frozen = weight().frozen.get())
    return temporaries + std::max({frozen->scratch_bytes(table, threads, chunk),
                                   kernels::rowwise_scratch_bytes(table, threads, rows, c),
                                   kernels::rowwise_scratch_bytes(table, threads, chunk, v)});
  return temporaries + std::max({linear_scratch_bytes(table, threads, config_.products, chunk, v, c),
                                 linear_scratch_bytes(table, threads, config_.products, chunk, c, v),
                                 kernels::rowwise_scratch_bytes(table, threads, rows, c),
                                 kernels::rowwise_scratch_bytes(table, threads, chunk, v)});
}

void LossHead::pack_weights(ExecContext& ctx) {
  if (config_.products.packs() && weight().frozen == nullptr)
    packed_.pack(ctx, weight().matrix(), config_.products.packed, WeightForm::transposed);
}

std::size_t LossHead::packed_bytes(const kernels::KernelTable& table) const {
  if (weight().frozen != nullptr) return 0;
  return PackedWeight::bytes(table, config_.vocab, config_.width, config_.products, WeightForm::transposed);
}

namespace {

// Rows of `all` by number, one after the other.
FloatView gathered(kernels::ScratchFrame& frame, const FloatView& all, std::span<const Index> numbers) {
  const FloatView rows = take_matrix(frame, all.type, static_cast<Index>(numbers.size()), all.cols);
  const std::size_t bytes = static_cast<std::size_t>(all.cols) * kernels::bytes_of(all.type);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    std::memcpy(rows.from(static_cast<Index>(i), 0).data, all.from(numbers[i], 0).data, bytes);
  return rows;
}

}  // namespace

void LossHead::forward(ExecContext& ctx, const Batch& batch, MatrixView, MatrixView in) {
  const Index rows = batch.shape.rows(), step = chunk_rows(rows);
  kernels::ScratchFrame frame(ctx.scratch);
  const FloatView normed = take_matrix(frame, config_.products.type, rows, config_.width);  // (B*T, C)
  if (batch.probe != nullptr) batch.probe->stream(ctx, {Site::head_stream, config_.layer}, in);
  norm_forward(ctx, normed, saved_.norm, in, params_.norm);
  if (batch.probe != nullptr) batch.probe->input(ctx, {Site::head, config_.layer}, normed);
  const bool all = batch.head_rows.empty();
  const Index wanted = all ? rows : static_cast<Index>(batch.head_rows.size());
  for (Index first = 0; first < wanted; first += step) {
    const Index count = std::min(step, wanted - first);
    if (all) {
      forward_chunk(ctx, batch, first, normed.rows_from(first, count));
    } else {
      kernels::ScratchFrame chunk(ctx.scratch);
      const auto numbers =
          batch.head_rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
      forward_chunk(ctx, batch, first, gathered(chunk, normed, numbers));
    }
  }
}

void LossHead::multiply_by_table(ExecContext& ctx, const FloatView& logits,
                                 const ConstFloatView& normed) const {
  if (const auto* frozen = weight().frozen.get()) return frozen->multiply(ctx, logits, normed, {});
  multiply_transposed(ctx, logits, normed, weight(), packed_);
}

void LossHead::forward_chunk(ExecContext& ctx, const Batch& batch, Index first, const FloatView& normed) {
  if (batch.logits.data != nullptr) {
    const FloatView logits = FloatView(batch.logits).rows_from(first, normed.rows);
    return multiply_by_table(ctx, logits, normed);
  }
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView logits = take_matrix(frame, normed.rows, config_.vocab);  // (rows, V)
  multiply_by_table(ctx, logits, normed);
  const Token* const targets = batch.targets + first;
  if (!batch.backward) return kernels::cross_entropy_forward(ctx, batch.losses + first, logits, targets);
  const FloatView d_logits = config_.products.type == FloatType::float32
                                 ? FloatView(logits)  // in place
                                 : take_matrix(frame, config_.products.type, normed.rows, config_.vocab);
  kernels::cross_entropy_forward_backward(ctx, batch.losses + first, d_logits, logits, targets, batch.scale,
                                          batch.z_weight);
  add_gradient(ctx, weight().d_matrix(), d_logits, normed);  // logits = normed W^T
  multiply(ctx, FloatView(saved_.d_normed).rows_from(first, normed.rows), d_logits, weight(), packed_);
}

void LossHead::backward(ExecContext& ctx, const Batch&, MatrixView d_in, ConstMatrixView,
                        ConstMatrixView in) {
  norm_backward(ctx, d_in, saved_.d_normed, saved_.norm, in, params_.norm);
}

}  // namespace loglog::nn
