// Tokens to the residual stream: a learned vector per token plus one per position.
#pragma once
#include "nn/layer.hpp"

namespace loglog::nn {

struct EmbeddingParams {
  Parameter token;     // (V, C)
  Parameter position;  // (T, C)
};

class Embedding final : public Layer {
 public:
  Embedding(Index vocab, Index context, Index width, float initial_sd);
  void visit_parameters(const ParameterVisitor& v) override;
  void visit_saved(BatchShape shape, const SavedVisitor& v) override;
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const override;
  void forward(ExecContext& ctx, const Batch& batch, MatrixView out, ConstMatrixView in) override;
  void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView in) override;
  const Parameter& token() const { return params_.token; }  // for a head that shares it

 private:
  Index vocab_;
  Index context_;
  Index width_;
  float initial_sd_;
  EmbeddingParams params_;
};

}  // namespace loglog::nn
