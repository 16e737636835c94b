// out = in W + b, with what follows fused into the product.
#pragma once
#include "kernels/gemm.hpp"
#include "nn/layer.hpp"

namespace loglog::nn {

struct LinearParams {
  Parameter weight;  // (in, out)
  Parameter bias;    // (1, out), or empty
};

void visit(LinearParams& p, Index in, Index out, bool bias, float weight_sd, const ParameterVisitor& v);

// in (R, in), out (R, out). `epilogue` may add GELU or a residual; its bias is set here.
void linear_forward(ExecContext& ctx, MatrixView out, ConstMatrixView in, const LinearParams& p,
                    kernels::GemmEpilogue epilogue = {});

// d_weight += in^T d_out, d_bias += column sums of d_out.
void linear_backward_parameters(ExecContext& ctx, const LinearParams& p, ConstMatrixView d_out,
                                ConstMatrixView in);
// d_in = d_out W^T.
void linear_backward_input(ExecContext& ctx, MatrixView d_in, const LinearParams& p, ConstMatrixView d_out);

// Bytes that any of the three takes from ctx.scratch for R rows.
std::size_t linear_scratch_bytes(const kernels::KernelTable& table, int threads, Index rows, Index in,
                                 Index out);

}  // namespace loglog::nn
