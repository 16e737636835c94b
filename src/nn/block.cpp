#include "nn/block.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace loglog::nn {

Block::Block(Index width, BlockOrder order, std::vector<Branch> branches)
    : width_(width), order_(order), branches_(std::move(branches)) {
  LOGLOG_CHECK(!branches_.empty(), "a block without branches");
  if (order_ == BlockOrder::serial) between_.resize(branches_.size() - 1);
}

void Block::visit_parameters(const ParameterVisitor& v) {
  for (const Branch& b : branches_) b.sublayer->visit_parameters(tensor::within(b.name, v));
}

void Block::visit_saved(BatchShape shape, const SavedVisitor& v) {
  for (std::size_t i = 0; i < branches_.size(); ++i) {
    branches_[i].sublayer->visit_saved(shape, tensor::within(branches_[i].name, v));
    if (i < between_.size()) v("behind_" + branches_[i].name, between_[i], shape.rows(), width_);
  }
}

void Block::visit_memory(const MemoryShape& shape, const MemoryVisitor& v) {
  for (const Branch& b : branches_) b.sublayer->visit_memory(shape, tensor::within(b.name, v));
}

std::size_t Block::scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const {
  std::size_t most = 0;
  for (const Branch& b : branches_) most = std::max(most, b.sublayer->scratch_bytes(table, threads, shape));
  return 2 * tensor::arena_bytes(shape.rows() * width_) + most;
}

void Block::pack_weights(ExecContext& ctx) {
  for (const Branch& b : branches_) b.sublayer->pack_weights(ctx);
}

std::size_t Block::packed_bytes(const kernels::KernelTable& table) const {
  std::size_t bytes = 0;
  for (const Branch& b : branches_) bytes += b.sublayer->packed_bytes(table);
  return bytes;
}

void Block::forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in) {
  MatrixView stream = in;
  for (std::size_t i = 0; i < branches_.size(); ++i) {
    const bool is_serial = order_ == BlockOrder::serial;
    const MatrixView next = is_serial && i < between_.size() ? between_[i] : out;
    branches_[i].sublayer->forward(ctx, batch, next, is_serial ? stream : in, stream);
    stream = next;
  }
}

void Block::backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                     ConstMatrixView in) {
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView tmp[] = {tensor::take_matrix(frame, d_in.rows, width_),
                            tensor::take_matrix(frame, d_in.rows, width_)};  // (B*T, C), in turns
  ConstMatrixView d_stream = d_out;
  for (std::size_t i = branches_.size(); i-- > 0;) {
    const bool is_serial = order_ == BlockOrder::serial;
    const MatrixView d_next = i > 0 ? tmp[i % 2] : d_in;
    // Parallel branches all get the gradient of what they were added to; what flows past them gathers in d_stream.
    branches_[i].sublayer->backward(ctx, batch, d_next, is_serial ? d_stream : d_out, d_stream,
                                    is_serial && i > 0 ? ConstMatrixView(between_[i - 1]) : in);
    d_stream = d_next;
  }
}

}  // namespace loglog::nn
