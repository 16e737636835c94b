// The pre-norm transformer block of GPT-2: attention, then perceptron, each joined to the residual stream.
#pragma once
#include "nn/attention.hpp"
#include "nn/mlp.hpp"

namespace loglog::nn {

class Block final : public Layer {
 public:
  Block(const AttentionConfig& attention, const MlpConfig& mlp);
  void visit_parameters(const ParameterVisitor& v) override;
  void visit_saved(BatchShape shape, const SavedVisitor& v) override;
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const override;
  void forward(ExecContext& ctx, const Batch& batch, MatrixView out, ConstMatrixView in) override;
  void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView in) override;

 private:
  Index width_;
  AttentionSublayer attention_;
  MlpSublayer mlp_;
  MatrixView mid_;  // (B*T, C), the stream between the two
};

}  // namespace loglog::nn
