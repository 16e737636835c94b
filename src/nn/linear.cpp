#include "nn/linear.hpp"

#include <algorithm>

#include "kernels/gemm_bf16.hpp"
#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/sums.hpp"
#include "tensor/frozen_weight.hpp"

namespace loglog::nn {

using kernels::Accumulate;

void pack(ExecContext& ctx, LinearParams& p, const Products& products) {
  if (products.packs() && p.weight.frozen == nullptr) p.packed.pack(ctx, p.weight.matrix(), products.packed);
}

void visit(LinearParams& p, Index in, Index out, bool bias, float weight_sd, const ParameterVisitor& v) {
  v("weight", p.weight, in, out, tensor::Decay::yes, {0.0f, weight_sd});
  if (bias) v("bias", p.bias, 1, out, tensor::Decay::no, {});
}

namespace {

// out = a W or a W' of bfloat16; a W that is not kept packed is rounded for this product.
void multiply_bf16(ExecContext& ctx, const FloatView& out, const ConstFloatView& a, const Parameter& weight,
                   const PackedWeight& packed, WeightForm form, const kernels::GemmEpilogue& epilogue) {
  if (const auto* kept = packed.find(form))
    return kernels::gemm_bf16(ctx, a.as<bf16>(), *kept, out, Accumulate::no, epilogue);
  kernels::ScratchFrame frame(ctx.scratch);
  const FloatView rounded = tensor::take_matrix(frame, FloatType::bfloat16, weight.rows, weight.cols);
  kernels::convert(ctx, rounded, weight.matrix());
  const tensor::ConstFloatView w = rounded;
  const kernels::ConstMatrixBf16 plain = w.as<bf16>();
  kernels::gemm_bf16(ctx, a.as<bf16>(), form == WeightForm::plain ? plain : plain.transposed(), out,
                     Accumulate::no, epilogue);
}

}  // namespace

void multiply(ExecContext& ctx, const FloatView& out, const ConstFloatView& a, const Parameter& weight,
              const PackedWeight& packed, const kernels::GemmEpilogue& epilogue) {
  if (weight.frozen != nullptr)
    weight.frozen->multiply(ctx, out, a, epilogue);
  else if (a.type == FloatType::float32)
    kernels::gemm(ctx, a.as<float>(), weight.matrix(), out.as<float>(), Accumulate::no, epilogue);
  else
    multiply_bf16(ctx, out, a, weight, packed, WeightForm::plain, epilogue);
}

void multiply_transposed(ExecContext& ctx, const FloatView& out, const ConstFloatView& a,
                         const Parameter& weight, const PackedWeight& packed,
                         const kernels::GemmEpilogue& epilogue) {
  if (a.type == FloatType::float32)
    kernels::gemm(ctx, a.as<float>(), weight.matrix().transposed(), out.as<float>(), Accumulate::no,
                  epilogue);
  else
    multiply_bf16(ctx, out, a, weight, packed, WeightForm::transposed, epilogue);
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

std::size_t linear_scratch_bytes(const kernels::KernelTable& table, int threads, const Products& products,
                                 Index rows, Index in, Index out, const tensor::FrozenWeight* frozen) {
  using kernels::LeftFactor, kernels::Weights;
  if (frozen != nullptr) return frozen->scratch_bytes(table, threads, rows);
  const std::size_t sums = kernels::rowwise_scratch_bytes(table, threads, rows, out);
  if (products.type == FloatType::float32) {
    const auto bytes = [&](Index m, Index n, Index k, LeftFactor a) {
      return kernels::gemm_scratch_bytes(table, threads, m, n, k, Weights::plain, a);
    };
    return std::max({bytes(rows, out, in, LeftFactor::as_it_is), bytes(in, out, rows, LeftFactor::transposed),
                     bytes(rows, in, out, LeftFactor::as_it_is), sums});
  }
  const Weights weights = products.packed == PackedForms::none ? Weights::plain : Weights::packed;
  const auto bytes = [&](Index n, Index k) {
    return kernels::gemm_bf16_scratch_bytes(table, threads, rows, n, k, weights, FloatType::bfloat16,
                                            LeftFactor::as_it_is);
  };
  const std::size_t gradient = kernels::gemm_bf16_scratch_bytes(table, threads, in, out, rows, Weights::plain,
                                                                FloatType::float32, LeftFactor::transposed);
  std::size_t by_weights = std::max(bytes(out, in), bytes(in, out));
  if (weights == Weights::plain)
    by_weights = std::max(by_weights, kernels::rowwise_scratch_bytes(table, threads, in, out)) +
                 tensor::arena_bytes(in * out, FloatType::bfloat16);
  return std::max(
      {by_weights, gradient, sums, kernels::pack_scratch_bytes(table, threads, std::max(in, out))});
}

std::size_t packed_bytes(const Parameter& weight, const kernels::KernelTable& table, Index in, Index out,
                         const Products& products) {
  return weight.frozen != nullptr ? 0 : PackedWeight::bytes(table, in, out, products);
}

}  // namespace loglog::nn
