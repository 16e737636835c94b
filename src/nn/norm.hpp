// Layer normalisation with gain and optional bias. Backward recomputes the output from the input it is given.
#pragma once
#include "nn/layer.hpp"

namespace loglog::nn {

struct NormParams {
  Parameter gain;  // (1, C)
  Parameter bias;  // (1, C), or empty
  float epsilon = 1e-5f;
};

struct NormSaved {
  MatrixView mean;  // (1, B*T)
  MatrixView rstd;  // (1, B*T)
};

void visit(NormParams& p, Index width, bool bias, const ParameterVisitor& v);
void visit(NormSaved& s, BatchShape shape, const SavedVisitor& v);

void norm_forward(ExecContext& ctx, MatrixView out, const NormSaved& saved, ConstMatrixView in,
                  const NormParams& p);
// d_in may be d_out.
void norm_backward(ExecContext& ctx, MatrixView d_in, ConstMatrixView d_out, const NormSaved& saved,
                   ConstMatrixView in, const NormParams& p);

}  // namespace loglog::nn
