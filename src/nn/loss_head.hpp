// The end of a language model: final norm, product with the vocabulary, cross-entropy.
//   losses = cross_entropy(norm(in) W^T, targets)
// W (V, C) is the token embedding (tied) or a matrix of its own.
#pragma once
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace loglog::nn {

struct LossHeadParams {
  NormParams norm;
  Parameter weight;  // (V, C); the embedding's when tied
};

struct LossHeadSaved {
  NormSaved norm;
  MatrixView d_logits;  // (B*T, V); forward leaves the gradient here, the logits themselves are not kept
};

class LossHead final : public Layer {
 public:
  // `shared` is the embedding's table, placed before the first forward; null for a head of its own, which starts
  // with `initial_sd`.
  LossHead(Index vocab, Index width, bool bias, float norm_epsilon, float initial_sd,
           const Parameter* shared);
  void visit_parameters(const ParameterVisitor& v) override;
  void visit_saved(BatchShape shape, const SavedVisitor& v) override;
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const override;
  void forward(ExecContext& ctx, const Batch& batch, MatrixView out, ConstMatrixView in) override;
  void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView in) override;

 private:
  const Parameter& weight() const { return shared_ != nullptr ? *shared_ : params_.weight; }
  Index vocab_;
  Index width_;
  bool bias_;
  float initial_sd_;
  const Parameter* shared_;
  LossHeadParams params_;
  LossHeadSaved saved_;
};

}  // namespace loglog::nn
