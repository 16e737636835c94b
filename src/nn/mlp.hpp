// The two-layer perceptron with its input norm, joined to the residual stream:
//   out = in + gelu(norm(in) W_up + b_up) W_down + b_down
#pragma once
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace loglog::nn {

struct MlpConfig {
  Index width = 0;   // C
  Index hidden = 0;  // 4C in GPT-2
  bool bias = true;
  float norm_epsilon = 1e-5f;
  float weight_sd = 0.0f;  // of the initial values
  float out_sd = 0.0f;     // and those of the projection that writes to the residual stream
};

struct MlpParams {
  NormParams norm;
  LinearParams up;    // (C, hidden)
  LinearParams down;  // (hidden, C)
};

struct MlpSaved {
  NormSaved norm;
  MatrixView pre_activation;  // (B*T, hidden); its GELU is computed again in backward
};

class MlpSublayer {
 public:
  explicit MlpSublayer(const MlpConfig& config);
  void visit_parameters(const ParameterVisitor& v);
  void visit_saved(BatchShape shape, const SavedVisitor& v);
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const;
  void forward(ExecContext& ctx, BatchShape shape, MatrixView out, ConstMatrixView in);
  // d_in is not d_out.
  void backward(ExecContext& ctx, BatchShape shape, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView in);

 private:
  MlpConfig config_;
  MlpParams params_;
  MlpSaved saved_;
};

}  // namespace loglog::nn
