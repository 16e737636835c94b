#include "nn/embedding.hpp"

#include "base/check.hpp"
#include "kernels/rowwise/embedding.hpp"
#include "kernels/rowwise/sums.hpp"
#include "tensor/frozen_weight.hpp"

namespace loglog::nn {

void Embedding::visit_parameters(const ParameterVisitor& v) {
  v("token", params_.token, config_.vocab, config_.width, tensor::Decay::yes, {0.0f, config_.initial_sd});
  if (config_.positions > 0)
    v("position", params_.position, config_.positions, config_.width, tensor::Decay::yes,
      {0.0f, config_.initial_sd});
}

void Embedding::visit_saved(BatchShape, const SavedVisitor&) {}

std::size_t Embedding::scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const {
  const std::size_t numbers = kernels::round_up_to_cache_line(shape.rows() * sizeof(Token));
  return tensor::arena_bytes(shape.rows() * config_.width) + numbers +
         kernels::rowwise_scratch_bytes(table, threads, shape.rows(), config_.width);
}

// Its rows of the batch make a table of their own.
void Embedding::look_up_frozen(ExecContext& ctx, const Batch& batch, MatrixView out) const {
  const Index rows = batch.shape.rows();
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView table = tensor::take_matrix(frame, rows, config_.width);  // (B*T, C)
  auto* const numbers = frame.take<Token>(static_cast<std::size_t>(rows));
  for (Index r = 0; r < rows; ++r) {
    LOGLOG_CHECK(batch.tokens[r] >= 0 && batch.tokens[r] < config_.vocab, "token {} of {}", batch.tokens[r],
                 config_.vocab);
    numbers[r] = static_cast<Token>(r);
    params_.token.frozen->copy_row(table.row(r), batch.tokens[r]);
  }
  kernels::embedding_forward(ctx, out, table, params_.position.matrix(), numbers, batch.positions);
}

void Embedding::forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView) {
  if (params_.token.frozen != nullptr)
    look_up_frozen(ctx, batch, out);
  else
    kernels::embedding_forward(ctx, out, params_.token.matrix(), params_.position.matrix(), batch.tokens,
                               batch.positions);
  if (batch.drops()) kernels::drop(ctx, out, out, batch.dropout_at(config_.site));
}

void Embedding::backward(ExecContext& ctx, const Batch& batch, MatrixView, ConstMatrixView d_out,
                         ConstMatrixView) {
  kernels::ScratchFrame frame(ctx.scratch);
  ConstMatrixView d_embedded = d_out;
  if (batch.drops()) {
    const MatrixView dropped = tensor::take_matrix(frame, d_out.rows, d_out.cols);  // (B*T, C)
    kernels::drop(ctx, dropped, d_out, batch.dropout_at(config_.site));
    d_embedded = dropped;
  }
  kernels::embedding_backward(ctx, params_.token.d_matrix(), params_.position.d_matrix(), d_embedded,
                              batch.tokens, batch.positions);
}

}  // namespace loglog::nn
