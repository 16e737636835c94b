// Normalisation of the stream where a branch reads it: LayerNorm, RMSNorm or none. Backward computes normalised
// rows again from the input that it is given.
#pragma once
#include "nn/layer.hpp"

namespace loglog::nn {

enum class NormKind { layernorm, rmsnorm, none };

struct NormConfig {
  NormKind kind = NormKind::layernorm;
  bool bias = true;  // LayerNorm's
  float epsilon = 1e-5f;
};

struct NormParams {
  NormConfig config;
  Parameter gain;  // (1, C)
  Parameter bias;  // (1, C), or empty
};

struct NormSaved {
  MatrixView mean;  // (1, B*T), LayerNorm's
  MatrixView rstd;  // (1, B*T)
};

void visit(NormParams& p, Index width, const ParameterVisitor& v);
void visit(NormSaved& s, const NormConfig& config, Index rows, const SavedVisitor& v);

// out of either type, in (R, C) the stream.
void norm_forward(ExecContext& ctx, const FloatView& out, const NormSaved& saved, const ConstFloatView& in,
                  const NormParams& p);
// d_in = (d_residual +) the norm's gradient; it may be d_out, but not d_residual.
void norm_backward(ExecContext& ctx, const FloatView& d_in, const ConstFloatView& d_out,
                   const NormSaved& saved, const ConstFloatView& in, const NormParams& p,
                   ConstMatrixView d_residual = {});

}  // namespace loglog::nn
