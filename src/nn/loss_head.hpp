// The end of a language model: final norm, product with the vocabulary, cross-entropy.
//   losses = cross_entropy(norm(in) W^T, targets)      or the logits norm(in) W^T of chosen rows, where a batch asks for them
// W (V, C) is the token embedding (tied) or a matrix of its own.
//
// Logits are the largest matrix of a model with many words, and nothing needs them all at once: rows go through in chunks, and
// where backward will follow, forward goes on to the gradient of norm(in) and of W while a chunk is at hand.
#pragma once
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace loglog::nn {

struct LossHeadConfig {
  Index vocab = 0;  // V
  Index width = 0;  // C
  NormConfig norm;
  float initial_sd = 0.0f;  // of a head of its own
  Products products;
  Index layer = 0;  // blocks before it
};

struct LossHeadParams {
  NormParams norm;
  Parameter weight;  // (V, C); the embedding's when tied
};

struct LossHeadSaved {
  NormSaved norm;
  MatrixView d_normed;  // (B*T, C); forward leaves the gradient of norm(in) here
};

class LossHead final : public Layer {
 public:
  // `shared` is the embedding's table, placed before the first forward; null for a head of its own.
  LossHead(const LossHeadConfig& config, const Parameter* shared);
  void visit_parameters(const ParameterVisitor& v) override;
  void visit_saved(BatchShape shape, const SavedVisitor& v) override;
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const override;
  void pack_weights(ExecContext& ctx) override;
  std::size_t packed_bytes(const kernels::KernelTable& table) const override;
  // Also adds to the gradient of W where batch.backward is set.
  void forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in) override;
  void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView in) override;

 private:
  const Parameter& weight() const { return shared_ != nullptr ? *shared_ : params_.weight; }
  // Rows of a chunk: a question of V alone, since gradients of W are summed chunk by chunk.
  Index chunk_rows(Index rows) const;
  // logits = normed W^T
  void multiply_by_table(ExecContext& ctx, const FloatView& logits, const ConstFloatView& normed) const;
  // Of the head's rows from number `first` on; `normed` are those.
  void forward_chunk(ExecContext& ctx, const Batch& batch, Index first, const FloatView& normed);

  LossHeadConfig config_;
  const Parameter* shared_;
  LossHeadParams params_;
  PackedWeight packed_;  // of weight()
  LossHeadSaved saved_;
};

}  // namespace loglog::nn
