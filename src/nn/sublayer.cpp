#include "nn/sublayer.hpp"

#include "kernels/rowwise/convert.hpp"

namespace loglog::nn {

void branch_forward_end(ExecContext& ctx, const Batch& batch, Index site, MatrixView out,
                        const ConstFloatView& a, const LinearParams& p, ConstMatrixView residual) {
  if (!batch.drops()) return linear_forward(ctx, out, a, p, {.residual = residual});
  kernels::ScratchFrame frame(ctx.scratch);
  const MatrixView branch = tensor::take_matrix(frame, out.rows, out.cols);  // (B*T, C)
  linear_forward(ctx, branch, a, p);
  kernels::drop_and_add(ctx, out, branch, residual, batch.dropout_at(site));
}

ConstFloatView branch_gradient(ExecContext& ctx, kernels::ScratchFrame& frame, const Batch& batch, Index site,
                               FloatType type, ConstMatrixView d_out) {
  if (!batch.drops() && type == FloatType::float32) return d_out;
  const FloatView d_branch = tensor::take_matrix(frame, type, d_out.rows, d_out.cols);
  if (batch.drops())
    kernels::drop(ctx, d_branch, d_out, batch.dropout_at(site));
  else
    kernels::convert(ctx, d_branch, d_out);
  return d_branch;
}

// What is dropped forward is float32, and never narrower than the gradient.
std::size_t branch_scratch_bytes(Index rows, Index width) {
  return tensor::arena_bytes(rows * width, FloatType::float32);
}

}  // namespace loglog::nn
