#include "kernels/rowwise/activation.hpp"

#include "kernels/profile.hpp"
#include "kernels/rowwise/float_operands.hpp"

namespace loglog::kernels {
namespace {

const ActivationTiles& tiles_of(const ExecContext& ctx, Activation act) {
  const Rowwise& rowwise = *ctx.kernels.rowwise;
  switch (act) {
    case Activation::relu:
      return rowwise.relu;
    case Activation::gelu:
      return rowwise.gelu;
    case Activation::silu:
      return rowwise.silu;
    case Activation::gelu_erf:
      return rowwise.gelu_erf;
    case Activation::identity:
      break;
  }
  LOGLOG_CHECK(false, "activation {} is none of rows", static_cast<int>(act));
  return rowwise.relu;
}

}  // namespace

void activation_forward(ExecContext& ctx, Activation act, const FloatMatrix& out,
                        const ConstFloatMatrix& in) {
  const Timed timed(ctx, KernelFamily::activation);
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  const auto forward = tiles_of(ctx, act).forward;
  for_float_rows<1, 1>(ctx, {out}, {in}, [&](Index, Index, const auto& y, const auto& x, Stores stores) {
    forward(y[0], x[0], stores);
  });
}

void activation_backward(ExecContext& ctx, Activation act, const FloatMatrix& d_in,
                         const ConstFloatMatrix& d_out, const ConstFloatMatrix& in) {
  const Timed timed(ctx, KernelFamily::activation);
  check_shape("d_in", d_in, in.rows, in.cols);
  check_shape("d_out", d_out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  const auto backward = tiles_of(ctx, act).backward;
  for_float_rows<1, 2>(ctx, {d_in}, {d_out, in},
                       [&](Index, Index, const auto& dx, const auto& x, Stores stores) {
                         backward(dx[0], x[0], x[1], stores);
                       });
}

void gated_forward(ExecContext& ctx, Activation act, const FloatMatrix& out, const ConstFloatMatrix& gate,
                   const ConstFloatMatrix& up) {
  const Timed timed(ctx, KernelFamily::activation);
  check_shape("out", out, gate.rows, gate.cols);
  check_shape("gate", gate, gate.rows, gate.cols);
  check_shape("up", up, gate.rows, gate.cols);
  const auto forward = tiles_of(ctx, act).gated_forward;
  for_float_rows<1, 2>(
      ctx, {out}, {gate, up},
      [&](Index, Index, const auto& y, const auto& x, Stores stores) { forward(y[0], x[0], x[1], stores); });
}

void gated_backward(ExecContext& ctx, Activation act, const FloatMatrix& d_gate, const FloatMatrix& d_up,
                    const ConstFloatMatrix& d_out, const ConstFloatMatrix& gate, const ConstFloatMatrix& up) {
  const Timed timed(ctx, KernelFamily::activation);
  check_shape("d_gate", d_gate, gate.rows, gate.cols);
  check_shape("d_up", d_up, gate.rows, gate.cols);
  check_shape("d_out", d_out, gate.rows, gate.cols);
  check_shape("gate", gate, gate.rows, gate.cols);
  check_shape("up", up, gate.rows, gate.cols);
  const auto backward = tiles_of(ctx, act).gated_backward;
  for_float_rows<2, 3>(ctx, {d_gate, d_up}, {d_out, gate, up},
                       [&](Index, Index, const auto& dx, const auto& x, Stores stores) {
                         backward(dx[0], dx[1], x[0], x[1], x[2], stores);
                       });
}

}  // namespace loglog::kernels
