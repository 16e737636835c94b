// Multi-head causal self-attention with its input norm and output projection, joined to the residual stream:
//   out = in + attention(norm(in) W_qkv + b_qkv) W_out + b_out
#pragma once
#include "kernels/attention.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace loglog::nn {

struct AttentionConfig {
  Index width = 0;  // C
  Index heads = 0;  // H, divides C
  bool bias = true;
  float norm_epsilon = 1e-5f;
  float weight_sd = 0.0f;  // of the initial values
  float out_sd = 0.0f;     // and those of the projection that writes to the residual stream
};

struct AttentionParams {
  NormParams norm;
  LinearParams qkv;  // (C, 3C): columns of queries, keys, values
  LinearParams out;  // (C, C)
};

struct AttentionSaved {
  NormSaved norm;
  MatrixView qkv;    // (B*T, 3C)
  MatrixView mixed;  // (B*T, C), before the output projection
  MatrixView lse;    // (1, B*H*T)
};

class AttentionSublayer {
 public:
  explicit AttentionSublayer(const AttentionConfig& config);
  void visit_parameters(const ParameterVisitor& v);
  void visit_saved(BatchShape shape, const SavedVisitor& v);
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const;
  void forward(ExecContext& ctx, BatchShape shape, MatrixView out, ConstMatrixView in);
  // d_in is not d_out.
  void backward(ExecContext& ctx, BatchShape shape, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView in);

 private:
  kernels::AttentionShape attention_shape(BatchShape shape) const;
  AttentionConfig config_;
  AttentionParams params_;
  AttentionSaved saved_;
};

}  // namespace loglog::nn
