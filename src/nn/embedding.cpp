#include "nn/embedding.hpp"

#include "kernels/rowwise/embedding.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::nn {

Embedding::Embedding(Index vocab, Index context, Index width, float initial_sd)
    : vocab_(vocab), context_(context), width_(width), initial_sd_(initial_sd) {}

void Embedding::visit_parameters(const ParameterVisitor& v) {
  v("token", params_.token, vocab_, width_, tensor::Decay::yes, {0.0f, initial_sd_});
  v("position", params_.position, context_, width_, tensor::Decay::yes, {0.0f, initial_sd_});
}

void Embedding::visit_saved(BatchShape, const SavedVisitor&) {}

std::size_t Embedding::scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const {
  return kernels::rowwise_scratch_bytes(table, threads, shape.rows(), width_);
}

void Embedding::forward(ExecContext& ctx, const Batch& batch, MatrixView out, ConstMatrixView) {
  ConstMatrixView positions = params_.position.matrix();
  positions.rows = batch.shape.time;  // a shorter sequence uses the first positions
  kernels::embedding_forward(ctx, out, params_.token.matrix(), positions, batch.tokens, batch.shape.time);
}

void Embedding::backward(ExecContext& ctx, const Batch& batch, MatrixView, ConstMatrixView d_out,
                         ConstMatrixView) {
  MatrixView d_positions = params_.position.d_matrix();
  d_positions.rows = batch.shape.time;
  kernels::embedding_backward(ctx, params_.token.d_matrix(), d_positions, d_out, batch.tokens,
                              batch.shape.time);
}

}  // namespace loglog::nn
