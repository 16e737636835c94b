// out = in W + b, with what follows fused into the product.
#pragma once
#include "kernels/gemm.hpp"
#include "nn/packed_weight.hpp"

namespace loglog::nn {

struct LinearParams {
  Parameter weight;     // (in, out)
  Parameter bias;       // (1, out), or empty
  PackedWeight packed;  // of weight, for operands of bfloat16
};

void pack(ExecContext& ctx, LinearParams& p, const Products& products);
void visit(LinearParams& p, Index in, Index out, bool bias, float weight_sd, const ParameterVisitor& v);

// Products of operands of one type, which says how they are multiplied. Those with a weight W take its packed
// form where it is kept, or its frozen one.
//   out = a W       out = a W'       d_weight += a' b
void multiply(ExecContext& ctx, const FloatView& out, const ConstFloatView& a, const Parameter& weight,
              const PackedWeight& packed, const kernels::GemmEpilogue& epilogue = {});
void multiply_transposed(ExecContext& ctx, const FloatView& out, const ConstFloatView& a,
                         const Parameter& weight, const PackedWeight& packed,
                         const kernels::GemmEpilogue& epilogue = {});
void add_gradient(ExecContext& ctx, MatrixView d_weight, const ConstFloatView& a, const ConstFloatView& b);

// in (R, in), out (R, out). `epilogue` may add an activation or a residual; its bias is set here.
void linear_forward(ExecContext& ctx, const FloatView& out, const ConstFloatView& in, const LinearParams& p,
                    kernels::GemmEpilogue epilogue = {});

// d_weight += in^T d_out, d_bias += column sums of d_out.
void linear_backward_parameters(ExecContext& ctx, const LinearParams& p, const ConstFloatView& d_out,
                                const ConstFloatView& in);
// d_in = d_out W^T, times what the epilogue says.
void linear_backward_input(ExecContext& ctx, const FloatView& d_in, const LinearParams& p,
                           const ConstFloatView& d_out, const kernels::GemmEpilogue& epilogue = {});

// Bytes that any of these takes from ctx.scratch for R rows, packing included; of `frozen` only forward, where it is not null.
std::size_t linear_scratch_bytes(const kernels::KernelTable& table, int threads, const Products& products,
                                 Index rows, Index in, Index out,
                                 const tensor::FrozenWeight* frozen = nullptr);

// Bytes that W takes besides its values once it is packed; none where it is frozen.
std::size_t packed_bytes(const Parameter& weight, const kernels::KernelTable& table, Index in, Index out,
                         const Products& products);

}  // namespace loglog::nn
