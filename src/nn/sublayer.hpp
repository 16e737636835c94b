// A branch of a block, which writes to the residual stream: attention, a perceptron, or what takes the place of one.
//
//   out = residual + f(in)          serial: residual is in; parallel: what the branch before has written
#pragma once
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace loglog::nn {

class Sublayer : public Module {
 public:
  // All (B*T, C). out may be residual; in stays unchanged until backward, but for what a probe changes.
  virtual void forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in,
                       ConstMatrixView residual) = 0;
  // d_in = d_residual + f'(in)^T d_out. d_in is neither of the two.
  virtual void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                        ConstMatrixView d_residual, ConstMatrixView in) = 0;
};

// How forward ends: out = residual + a W + b, `site` being where of that a part is dropped.
void branch_forward_end(ExecContext& ctx, const Batch& batch, Index site, MatrixView out,
                        const ConstFloatView& a, const LinearParams& p, ConstMatrixView residual);
// How backward begins: the gradient of a W + b, in the type of its products; in `frame` where that is not d_out itself.
ConstFloatView branch_gradient(ExecContext& ctx, kernels::ScratchFrame& frame, const Batch& batch, Index site,
                               FloatType type, ConstMatrixView d_out);
// Bytes of an (R, C) temporary that either keeps in ctx.scratch or in `frame`.
std::size_t branch_scratch_bytes(Index rows, Index width);

}  // namespace loglog::nn
