#include "kernels/rowwise/norm.hpp"

#include "kernels/profile.hpp"
#include "kernels/rowwise/float_operands.hpp"

namespace loglog::kernels {
namespace {

// Without any there is nothing to do, but the contract still holds.
bool has_columns(const ExecContext& ctx, const ConstFloatMatrix& in) {
  check_threads(ctx.threads);
  return in.cols > 0;
}

// d_in of some rows and what joins it there, while they are hot: tile(stores) computes the first.
template <class Tile>
void join_residual(const ExecContext& ctx, MatrixRef d_in, ConstMatrixRef residual, Index first,
                   Stores stores, Tile&& tile) {
  if (residual.data == nullptr) return tile(stores);
  tile(Stores::cached);
  ctx.kernels.rowwise->add(d_in, d_in, rows_of(residual, first, d_in.rows), Stores::cached);
}

}  // namespace

void layernorm_forward(ExecContext& ctx, const FloatMatrix& out, float* mean, float* rstd,
                       const ConstFloatMatrix& in, const float* gain, const float* bias, float epsilon) {
  const Timed timed(ctx, KernelFamily::norm);
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (!has_columns(ctx, in)) return;
  const auto forward = ctx.kernels.rowwise->layernorm_forward;
  for_float_rows<1, 1>(ctx, {out}, {in}, [&](Index r, Index, const auto& y, const auto& x, Stores stores) {
    forward(y[0], mean + r, rstd + r, x[0], gain, bias, epsilon, stores);
  });
}

void layernorm_backward(ExecContext& ctx, const FloatMatrix& d_in, float* d_gain, float* d_bias,
                        const ConstFloatMatrix& d_out, const ConstFloatMatrix& in, const float* mean,
                        const float* rstd, const float* gain, ConstMatrixRef residual) {
  const Timed timed(ctx, KernelFamily::norm);
  check_shape("d_in", d_in, in.rows, in.cols);
  check_shape("d_out", d_out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (residual.data != nullptr) check_shape("residual", residual, in.rows, in.cols);
  if (!has_columns(ctx, in)) return;
  const auto backward = ctx.kernels.rowwise->layernorm_backward;
  const FloatOperands<1, 2> operands(ctx, {d_in}, {d_out, in});
  float* const outs[] = {d_gain, d_bias};
  const auto run = [&](float* partial, Index first, Index count, int thread) {
    operands.run(first, count, thread, [&](Index r, Index, const auto& dx, const auto& x, Stores stores) {
      join_residual(ctx, dx[0], residual, r, stores, [&](Stores how) {
        backward(dx[0], partial, d_bias == nullptr ? nullptr : partial + in.cols, x[0], x[1], mean + r,
                 rstd + r, gain, how);
      });
    });
  };
  sum_over_rows(ctx, in.rows, in.cols, 2, run, outs);
}

void rmsnorm_forward(ExecContext& ctx, const FloatMatrix& out, float* rstd, const ConstFloatMatrix& in,
                     const float* gain, float epsilon) {
  const Timed timed(ctx, KernelFamily::norm);
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (!has_columns(ctx, in)) return;
  const auto forward = ctx.kernels.rowwise->rmsnorm_forward;
  for_float_rows<1, 1>(ctx, {out}, {in}, [&](Index r, Index, const auto& y, const auto& x, Stores stores) {
    forward(y[0], rstd + r, x[0], gain, epsilon, stores);
  });
}

void rmsnorm_backward(ExecContext& ctx, const FloatMatrix& d_in, float* d_gain, const ConstFloatMatrix& d_out,
                      const ConstFloatMatrix& in, const float* rstd, const float* gain,
                      ConstMatrixRef residual) {
  const Timed timed(ctx, KernelFamily::norm);
  check_shape("d_in", d_in, in.rows, in.cols);
  check_shape("d_out", d_out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (residual.data != nullptr) check_shape("residual", residual, in.rows, in.cols);
  if (!has_columns(ctx, in)) return;
  const auto backward = ctx.kernels.rowwise->rmsnorm_backward;
  const FloatOperands<1, 2> operands(ctx, {d_in}, {d_out, in});
  const auto run = [&](float* partial, Index first, Index count, int thread) {
    operands.run(first, count, thread, [&](Index r, Index, const auto& dx, const auto& x, Stores stores) {
      join_residual(ctx, dx[0], residual, r, stores,
                    [&](Stores how) { backward(dx[0], partial, x[0], x[1], rstd + r, gain, how); });
    });
  };
  sum_over_rows(ctx, in.rows, in.cols, 1, run, &d_gain);
}

}  // namespace loglog::kernels
