// The perceptron of a block with its input norm, joined to the residual stream:
//   out = residual + act(norm(in) W_up + b_up) W_down + b_down
//   out = residual + (act(g) * u) W_down + b_down,  (g u) = norm(in) W_gate_up + b_gate_up        gated (Shazeer 2020)
#pragma once
#include "kernels/activations.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/sublayer.hpp"

namespace loglog::nn {

struct MlpConfig {
  Index width = 0;   // C
  Index hidden = 0;  // F, 4C in GPT-2
  kernels::Activation activation = kernels::Activation::gelu;
  bool gated = false;
  bool bias = true;
  NormConfig norm;
  float weight_sd = 0.0f;  // of the initial values
  float out_sd = 0.0f;     // and those of the projection that writes to the residual stream
  Products products;
  Index site = 0;   // where dropout has its random numbers from
  Index layer = 0;  // number of the block
};

struct MlpParams {
  NormParams norm;
  LinearParams
      up;  // (C, F), "gate_up" (C, 2F) where gated: columns of the gate, then of what it lets through
  LinearParams down;  // (F, C)
};

struct MlpSaved {
  NormSaved norm;
  FloatView normed;  // (B*T, C)
  FloatView up;      // (B*T, 2F) where gated: before the activation, which is computed again in backward
  FloatView activation, slope;  // (B*T, F) else: act and act' of norm(in) W_up + b_up
};

class MlpSublayer final : public Sublayer {
 public:
  explicit MlpSublayer(const MlpConfig& config);
  void visit_parameters(const ParameterVisitor& v) override;
  void visit_saved(BatchShape shape, const SavedVisitor& v) override;
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const override;
  void pack_weights(ExecContext& ctx) override;
  std::size_t packed_bytes(const kernels::KernelTable& table) const override;
  void forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in,
               ConstMatrixView residual) override;
  void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView d_residual, ConstMatrixView in) override;

 private:
  Index up_width() const { return config_.gated ? 2 * config_.hidden : config_.hidden; }
  MlpConfig config_;
  MlpParams params_;
  MlpSaved saved_;
};

}  // namespace loglog::nn
