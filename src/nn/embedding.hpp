// Tokens to the residual stream: a learned vector per token, and one per position where positions are learned.
#pragma once
#include "nn/layer.hpp"

namespace loglog::nn {

struct EmbeddingConfig {
  Index vocab = 0;      // V
  Index width = 0;      // C
  Index positions = 0;  // T of the table; 0: none is learned
  float initial_sd = 0.0f;
  Index site = 0;  // where dropout has its random numbers from
};

struct EmbeddingParams {
  Parameter token;     // (V, C)
  Parameter position;  // (T, C), or empty
};

class Embedding final : public Layer {
 public:
  explicit Embedding(const EmbeddingConfig& config) : config_(config) {}
  void visit_parameters(const ParameterVisitor& v) override;
  void visit_saved(BatchShape shape, const SavedVisitor& v) override;
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const override;
  void forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in) override;
  void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView in) override;
  const Parameter& token() const { return params_.token; }  // for a head that shares it

 private:
  void look_up_frozen(ExecContext& ctx, const Batch& batch, MatrixView out) const;

  EmbeddingConfig config_;
  EmbeddingParams params_;
};

}  // namespace loglog::nn
