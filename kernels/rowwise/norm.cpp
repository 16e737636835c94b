#include "kernels/rowwise/norm.hpp"

#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {
namespace {

// Without any there is nothing to do, but the contract still holds.
bool has_columns(const ExecContext& ctx, ConstMatrixRef in) {
  check_threads(ctx.threads);
  return in.cols > 0;
}

}  // namespace

void layernorm_forward(ExecContext& ctx, MatrixRef out, float* mean, float* rstd, ConstMatrixRef in,
                       const float* gain, const float* bias, float epsilon) {
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (!has_columns(ctx, in)) return;
  const Stores stores = stores_for(out, in.data);
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->layernorm_forward(rows_of(out, r, n), mean + r, rstd + r, rows_of(in, r, n), gain,
                                           bias, epsilon, stores);
  });
}

void layernorm_backward(ExecContext& ctx, MatrixRef d_in, float* d_gain, float* d_bias, ConstMatrixRef d_out,
                        ConstMatrixRef in, const float* mean, const float* rstd, const float* gain) {
  check_shape("d_in", d_in, in.rows, in.cols);
  check_shape("d_out", d_out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (!has_columns(ctx, in)) return;
  const Stores stores = stores_for(d_in, d_out.data);
  float* const outs[] = {d_gain, d_bias};
  const auto run = [&](float* partial, Index r, Index n) {
    ctx.kernels.rowwise->layernorm_backward(
        rows_of(d_in, r, n), partial, d_bias == nullptr ? nullptr : partial + in.cols, rows_of(d_out, r, n),
        rows_of(in, r, n), mean + r, rstd + r, gain, stores);
  };
  sum_over_rows(ctx, in.rows, in.cols, 2, run, outs);
}

void rmsnorm_forward(ExecContext& ctx, MatrixRef out, float* rstd, ConstMatrixRef in, const float* gain,
                     float epsilon) {
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (!has_columns(ctx, in)) return;
  const Stores stores = stores_for(out, in.data);
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->rmsnorm_forward(rows_of(out, r, n), rstd + r, rows_of(in, r, n), gain, epsilon,
                                         stores);
  });
}

void rmsnorm_backward(ExecContext& ctx, MatrixRef d_in, float* d_gain, ConstMatrixRef d_out,
                      ConstMatrixRef in, const float* rstd, const float* gain) {
  check_shape("d_in", d_in, in.rows, in.cols);
  check_shape("d_out", d_out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (!has_columns(ctx, in)) return;
  const Stores stores = stores_for(d_in, d_out.data);
  const auto run = [&](float* partial, Index r, Index n) {
    ctx.kernels.rowwise->rmsnorm_backward(rows_of(d_in, r, n), partial, rows_of(d_out, r, n),
                                          rows_of(in, r, n), rstd + r, gain, stores);
  };
  sum_over_rows(ctx, in.rows, in.cols, 1, run, &d_gain);
}

}  // namespace loglog::kernels
