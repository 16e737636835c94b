#include "nn/linear.hpp"

#include <algorithm>

#include "kernels/rowwise/sums.hpp"

namespace loglog::nn {

using kernels::Accumulate;

void visit(LinearParams& p, Index in, Index out, bool bias, float weight_sd, const ParameterVisitor& v) {
  v("weight", p.weight, in, out, tensor::Decay::yes, {0.0f, weight_sd});
  if (bias) v("bias", p.bias, 1, out, tensor::Decay::no, {});
}

void linear_forward(ExecContext& ctx, MatrixView out, ConstMatrixView in, const LinearParams& p,
                    kernels::GemmEpilogue epilogue) {
  epilogue.bias = p.bias.value;
  kernels::gemm(ctx, in, p.weight.matrix(), out, Accumulate::no, epilogue);
}

void linear_backward_parameters(ExecContext& ctx, const LinearParams& p, ConstMatrixView d_out,
                                ConstMatrixView in) {
  kernels::gemm(ctx, in.transposed(), d_out, p.weight.d_matrix(), Accumulate::yes);
  if (!p.bias.empty()) kernels::column_sums(ctx, p.bias.gradient, d_out);
}

void linear_backward_input(ExecContext& ctx, MatrixView d_in, const LinearParams& p, ConstMatrixView d_out) {
  kernels::gemm(ctx, d_out, p.weight.matrix().transposed(), d_in);
}

std::size_t linear_scratch_bytes(const kernels::KernelTable& table, int threads, Index rows, Index in,
                                 Index out) {
  using kernels::LeftFactor;
  const auto gemm_bytes = [&](Index m, Index n, Index k, LeftFactor a) {
    return kernels::gemm_scratch_bytes(table, threads, m, n, k, kernels::Weights::plain, a);
  };
  return std::max({gemm_bytes(rows, out, in, LeftFactor::as_it_is),
                   gemm_bytes(in, out, rows, LeftFactor::transposed),
                   gemm_bytes(rows, in, out, LeftFactor::as_it_is),
                   kernels::rowwise_scratch_bytes(table, threads, rows, out)});
}

}  // namespace loglog::nn
