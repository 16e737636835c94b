#include "nn/norm.hpp"

#include "kernels/rowwise/norm.hpp"

namespace loglog::nn {

void visit(NormParams& p, Index width, bool bias, const ParameterVisitor& v) {
  v("gain", p.gain, 1, width, tensor::Decay::no, {1.0f, 0.0f});
  if (bias) v("bias", p.bias, 1, width, tensor::Decay::no, {});
}

void visit(NormSaved& s, BatchShape shape, const SavedVisitor& v) {
  v("mean", s.mean, 1, shape.rows());
  v("rstd", s.rstd, 1, shape.rows());
}

void norm_forward(ExecContext& ctx, MatrixView out, const NormSaved& saved, ConstMatrixView in,
                  const NormParams& p) {
  kernels::layernorm_forward(ctx, out, saved.mean.data, saved.rstd.data, in, p.gain.value, p.bias.value,
                             p.epsilon);
}

void norm_backward(ExecContext& ctx, MatrixView d_in, ConstMatrixView d_out, const NormSaved& saved,
                   ConstMatrixView in, const NormParams& p) {
  kernels::layernorm_backward(ctx, d_in, p.gain.gradient, p.bias.gradient, d_out, in, saved.mean.data,
                              saved.rstd.data, p.gain.value);
}

}  // namespace loglog::nn
