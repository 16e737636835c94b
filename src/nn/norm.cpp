#include "nn/norm.hpp"

#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/norm.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::nn {

void visit(NormParams& p, Index width, const ParameterVisitor& v) {
  if (p.config.kind == NormKind::none) return;
  v("gain", p.gain, 1, width, tensor::Decay::no, {1.0f, 0.0f});
  if (p.config.kind == NormKind::layernorm && p.config.bias)
    v("bias", p.bias, 1, width, tensor::Decay::no, {});
}

void visit(NormSaved& s, const NormConfig& config, Index rows, const SavedVisitor& v) {
  if (config.kind == NormKind::none) return;
  if (config.kind == NormKind::layernorm) v("mean", s.mean, 1, rows);
  v("rstd", s.rstd, 1, rows);
}

void norm_forward(ExecContext& ctx, const FloatView& out, const NormSaved& saved, const ConstFloatView& in,
                  const NormParams& p) {
  switch (p.config.kind) {
    case NormKind::layernorm:
      return kernels::layernorm_forward(ctx, out, saved.mean.data, saved.rstd.data, in, p.gain.value,
                                        p.bias.value, p.config.epsilon);
    case NormKind::rmsnorm:
      return kernels::rmsnorm_forward(ctx, out, saved.rstd.data, in, p.gain.value, p.config.epsilon);
    case NormKind::none:
      return kernels::convert(ctx, out, in);
  }
}

void norm_backward(ExecContext& ctx, const FloatView& d_in, const ConstFloatView& d_out,
                   const NormSaved& saved, const ConstFloatView& in, const NormParams& p,
                   ConstMatrixView d_residual) {
  switch (p.config.kind) {
    case NormKind::layernorm:
      return kernels::layernorm_backward(ctx, d_in, p.gain.gradient, p.bias.gradient, d_out, in,
                                         saved.mean.data, saved.rstd.data, p.gain.value, d_residual);
    case NormKind::rmsnorm:
      return kernels::rmsnorm_backward(ctx, d_in, p.gain.gradient, d_out, in, saved.rstd.data, p.gain.value,
                                       d_residual);
    case NormKind::none:
      if (d_in.data != d_out.data) kernels::convert(ctx, d_in, d_out);
      if (d_residual.data != nullptr) kernels::add(ctx, d_in.as<float>(), d_in.as<float>(), d_residual);
      return;
  }
}

}  // namespace loglog::nn
