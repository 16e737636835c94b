#include "nn/linear.hpp"

#include <algorithm>

#include "kernels/gemm_bf16.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::nn {

using kernels::Accumulate;

void visit(LinearParams& p, Index in, Index out, bool bias, float weight_sd, const ParameterVisitor& v) {
  v("weight", p.weight, in, out, tensor::Decay::yes, {0.0f, weight_sd});
  if (bias) v("bias", p.bias, 1, out, tensor::Decay::no, {});
}

void multiply(ExecContext& ctx, const FloatView& out, const ConstFloatView& a, const Parameter& weight,
              const PackedWeight& packed, const kernels::GemmEpilogue& epilogue) {
  if (a.type == FloatType::float32)
    kernels::gemm(ctx, a.as<float>(), weight.matrix(), out.as<float>(), Accumulate::no, epilogue);
  else
    kernels::gemm_bf16(ctx, a.as<bf16>(), packed.plain(), out, Accumulate::no, epilogue);
}

void multiply_transposed(ExecContext& ctx, const FloatView& out, const ConstFloatView& a,
                         const Parameter& weight, const PackedWeight& packed,
                         const kernels::GemmEpilogue& epilogue) {
  if (a.type == FloatType::float32)
    kernels::gemm(ctx, a.as<float>(), weight.matrix().transposed(), out.as<float>(), Accumulate::no,
                  epilogue);
  else
    kernels::gemm_bf16(ctx, a.as<bf16>(), packed.transposed(), out, Accumulate::no, epilogue);
}

void add_gradient(ExecContext& ctx, MatrixView d_weight, const ConstFloatView& a, const ConstFloatView& b) {
  if (a.type == FloatType::float32)
    kernels::gemm(ctx, a.as<float>().transposed(), b.as<float>(), d_weight, Accumulate::yes);
  else
    kernels::gemm_bf16(ctx, a.as<bf16>().transposed(), b.as<bf16>(), d_weight, Accumulate::yes);
}

void linear_forward(ExecContext& ctx, const FloatView& out, const ConstFloatView& in, const LinearParams& p,
                    kernels::GemmEpilogue epilogue) {
  epilogue.bias = p.bias.value;
  multiply(ctx, out, in, p.weight, p.packed, epilogue);
}

void linear_backward_parameters(ExecContext& ctx, const LinearParams& p, const ConstFloatView& d_out,
                                const ConstFloatView& in) {
  add_gradient(ctx, p.weight.d_matrix(), in, d_out);
  if (!p.bias.empty()) kernels::column_sums(ctx, p.bias.gradient, d_out);
}

void linear_backward_input(ExecContext& ctx, const FloatView& d_in, const LinearParams& p,
                           const ConstFloatView& d_out, const kernels::GemmEpilogue& epilogue) {
  multiply_transposed(ctx, d_in, d_out, p.weight, p.packed, epilogue);
}

std::size_t linear_scratch_bytes(const kernels::KernelTable& table, int threads, FloatType type, Index rows,
                                 Index in, Index out) {
  using kernels::LeftFactor, kernels::Weights;
  const std::size_t sums = kernels::rowwise_scratch_bytes(table, threads, rows, out);
  if (type == FloatType::float32) {
    const auto bytes = [&](Index m, Index n, Index k, LeftFactor a) {
      return kernels::gemm_scratch_bytes(table, threads, m, n, k, Weights::plain, a);
    };
    return std::max({bytes(rows, out, in, LeftFactor::as_it_is), bytes(in, out, rows, LeftFactor::transposed),
                     bytes(rows, in, out, LeftFactor::as_it_is), sums});
  }
  const auto bytes = [&](Index m, Index n, Index k, Weights b) {
    return kernels::gemm_bf16_scratch_bytes(table, threads, m, n, k, b, FloatType::bfloat16);
  };
  return std::max({bytes(rows, out, in, Weights::packed), bytes(in, out, rows, Weights::plain),
                   bytes(rows, in, out, Weights::packed), sums,
                   kernels::pack_scratch_bytes(table, threads, std::max(in, out))});
}

}  // namespace loglog::nn
