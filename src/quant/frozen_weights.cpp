// The forms of weights that products take in place of float32.
#include <algorithm>
#include <functional>

#include "kernels/gemm_bf16.hpp"
#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/sums.hpp"
#include "kernels/table.hpp"
#include "quant/planned_weight.hpp"
#include "quant/quantized_weight.hpp"

namespace loglog::quant {
namespace {

using kernels::bf16;
using kernels::ConstMatrixRef;
using kernels::ExecContext;
using kernels::FloatType;
using kernels::GemmEpilogue;
using kernels::KernelTable;
using kernels::MatrixRef;
using tensor::ConstFloatView;
using tensor::FloatView;

// `in` as float32 or bfloat16, in `frame` where it is of the other type.
ConstFloatView input_as(FloatType type, ExecContext& ctx, kernels::ScratchFrame& frame,
                        const ConstFloatView& in) {
  if (in.type == type) return in;
  const FloatView converted = tensor::take_matrix(frame, type, in.rows, in.cols);
  kernels::convert(ctx, converted, in);
  return converted;
}

// product(x, c) with both in float32, in scratch where they are not; and where the result is its own residual and must not be.
template <class Product>
void in_float32(ExecContext& ctx, const FloatView& out, const ConstFloatView& in, bool may_write_out,
                Product&& product) {
  kernels::ScratchFrame frame(ctx.scratch);
  const ConstFloatView x = input_as(FloatType::float32, ctx, frame, in);
  const bool in_place = out.type == FloatType::float32 && may_write_out;
  const FloatView c = in_place ? out : FloatView(tensor::take_matrix(frame, out.rows, out.cols));
  product(x.as<float>(), c.as<float>());
  if (!in_place) kernels::convert(ctx, out, c);
}

std::size_t matrix_bytes(Index rows, Index cols) {
  return tensor::arena_bytes(rows * cols);  // float32, the larger type
}

// Stored as the parameter is, a table's product takes it turned.
template <class T>
kernels::ConstMatrix<T> as_product_takes_it(Role role, const T* values, Index rows, Index cols) {
  const kernels::ConstMatrix<T> plain(values, rows, cols);
  return role == Role::table ? plain.transposed() : plain;
}

float as_float(float x) {
  return x;
}
float as_float(bf16 x) {
  return kernels::to_float(x);
}

// Row `row` of a table: a column of what its product takes.
template <class T>
void copy_packed_column(float* out, const kernels::PackedMatrix<T>& packed, Index row) {
  const Index width = packed.rows();
  for (Index k = 0; k < width; ++k) out[k] = as_float(packed.data()[packed.layout().offset(width, k, row)]);
}

std::size_t packed_bytes(const kernels::PanelLayout& layout, Index k, Index n, std::size_t element) {
  return static_cast<std::size_t>(layout.elements(k, n)) * element;
}

// Of a model whose products are float32: so are their inputs and results.
class FrozenF32 final : public tensor::FrozenWeight {
 public:
  FrozenF32(const KernelTable& table, Role role, ConstMatrixRef w)
      : table_(role == Role::table), packed_(table, as_product_takes_it(role, w.data, w.rows, w.cols)) {}

  void multiply(ExecContext& ctx, const FloatView& out, const ConstFloatView& in,
                const GemmEpilogue& epilogue) const override {
    kernels::gemm(ctx, in.as<float>(), packed_, out.as<float>(), kernels::Accumulate::no, epilogue);
  }
  void copy_row(float* out, Index row) const override {
    if (!table_) return FrozenWeight::copy_row(out, row);
    copy_packed_column(out, packed_, row);
  }
  std::size_t scratch_bytes(const KernelTable& table, int threads, Index rows) const override {
    return scratch_for(table, threads, rows, packed_.rows(), packed_.cols());
  }
  std::size_t bytes() const override { return bytes_for(packed_.layout(), packed_.rows(), packed_.cols()); }

  static std::size_t scratch_for(const KernelTable& table, int threads, Index rows, Index k, Index n) {
    return kernels::gemm_scratch_bytes(table, threads, rows, n, k, kernels::Weights::packed,
                                       kernels::LeftFactor::as_it_is);
  }
  static std::size_t bytes_for(const kernels::PanelLayout& layout, Index k, Index n) {
    return packed_bytes(layout, k, n, sizeof(float));
  }

 private:
  bool table_;
  kernels::PackedMatrix<float> packed_;
};

class FrozenBf16 final : public tensor::FrozenWeight {
 public:
  FrozenBf16(const KernelTable& table, Role role, const Bf16Values& w)
      : table_(role == Role::table),
        packed_(table, as_product_takes_it(role, w.values.data(), w.rows, w.cols)) {}

  void multiply(ExecContext& ctx, const FloatView& out, const ConstFloatView& in,
                const GemmEpilogue& epilogue) const override {
    kernels::ScratchFrame frame(ctx.scratch);
    const ConstFloatView a = input_as(FloatType::bfloat16, ctx, frame, in);
    kernels::gemm_bf16(ctx, a.as<bf16>(), packed_, out, kernels::Accumulate::no, epilogue);
  }
  void copy_row(float* out, Index row) const override {
    if (!table_) return FrozenWeight::copy_row(out, row);
    copy_packed_column(out, packed_, row);
  }
  std::size_t scratch_bytes(const KernelTable& table, int threads, Index rows) const override {
    return scratch_for(table, threads, rows, packed_.rows(), packed_.cols());
  }
  std::size_t bytes() const override { return bytes_for(packed_.layout(), packed_.rows(), packed_.cols()); }

  static std::size_t scratch_for(const KernelTable& table, int threads, Index rows, Index k, Index n) {
    const auto product = [&](FloatType c) {
      return kernels::gemm_bf16_scratch_bytes(table, threads, rows, n, k, kernels::Weights::packed, c,
                                              kernels::LeftFactor::as_it_is);
    };
    return matrix_bytes(rows, k) + std::max(product(FloatType::float32), product(FloatType::bfloat16)) +
           kernels::rowwise_scratch_bytes(table, threads, rows, k);
  }
  static std::size_t bytes_for(const kernels::PanelLayout& layout, Index k, Index n) {
    return packed_bytes(layout, k, n, sizeof(bf16));
  }

 private:
  bool table_;
  kernels::PackedMatrix<bf16> packed_;
};

class FrozenInt8 final : public tensor::FrozenWeight {
 public:
  FrozenInt8(const KernelTable& table, const Scheme& scheme, kernels::QuantizedColumns w, InputCounts* counts)
      : options_{scheme.inputs, scheme.threshold, scheme.whole_columns},
        weights_(table, std::move(w)),
        counts_(counts) {}

  void multiply(ExecContext& ctx, const FloatView& out, const ConstFloatView& in,
                const GemmEpilogue& epilogue) const override {
    // Sums stand where the result will, which can be no residual then.
    in_float32(ctx, out, in, epilogue.residual.data != out.data, [&](ConstMatrixRef x, MatrixRef c) {
      count(in, kernels::gemm_int8(ctx, x, weights_, c, options_, epilogue));
    });
  }
  void copy_row(float* out, Index row) const override { weights_.copy_column(out, row); }
  std::size_t scratch_bytes(const KernelTable& table, int threads, Index rows) const override {
    return scratch_for(table, threads, rows, weights_.rows(), weights_.cols());
  }
  std::size_t bytes() const override { return weights_.bytes(); }

  static std::size_t scratch_for(const KernelTable& table, int threads, Index rows, Index k, Index n) {
    return matrix_bytes(rows, k) + matrix_bytes(rows, n) +
           std::max(kernels::gemm_int8_scratch_bytes(table, threads, rows, n, k),
                    kernels::rowwise_scratch_bytes(table, threads, rows, std::max(n, k)));
  }

 private:
  void count(const ConstFloatView& in, const kernels::OutlierCount& outliers) const {
    if (counts_ == nullptr) return;
    counts_->elements += static_cast<double>(in.rows * in.cols);
    counts_->calibrated += static_cast<double>(in.rows) * static_cast<double>(weights_.float_rows().size());
    counts_->outliers += static_cast<double>(outliers.elements);
    counts_->most_dimensions = std::max(counts_->most_dimensions, outliers.columns);
  }

  kernels::Int8Options options_;
  kernels::Int8Weights weights_;
  InputCounts* counts_;
};

class FrozenGroups final : public tensor::FrozenWeight {
 public:
  FrozenGroups(const KernelTable& table, const kernels::GroupedColumns& w) : weights_(table, w) {}

  void multiply(ExecContext& ctx, const FloatView& out, const ConstFloatView& in,
                const GemmEpilogue& epilogue) const override {
    in_float32(ctx, out, in, true, [&](ConstMatrixRef a, MatrixRef c) {
      kernels::gemm_weight_only(ctx, a, weights_, c, epilogue);
    });
  }
  std::size_t scratch_bytes(const KernelTable& table, int threads, Index rows) const override {
    return scratch_for(table, threads, rows, weights_.rows(), weights_.cols());
  }
  std::size_t bytes() const override { return weights_.bytes(); }

  static std::size_t scratch_for(const KernelTable& table, int threads, Index rows, Index k, Index n) {
    return matrix_bytes(rows, k) + matrix_bytes(rows, n) +
           std::max(kernels::gemm_weight_only_scratch_bytes(table, threads, rows, n, k,
                                                            kernels::LeftFactor::as_it_is),
                    kernels::rowwise_scratch_bytes(table, threads, rows, std::max(n, k)));
  }

 private:
  kernels::WeightOnlyMatrix weights_;
};

// Of a table's inputs, which no scheme with the scope of a tensor should tie to each other.
Scheme for_table(Scheme scheme) {
  scheme.inputs.scope = kernels::Int8Scope::vector;
  scheme.whole_columns = false;
  return scheme;
}

}  // namespace

std::shared_ptr<const tensor::FrozenWeight> freeze(const KernelTable& table, const Plan& plan, Role role,
                                                   QuantizedWeight weight, InputCounts* counts) {
  if (const auto* values = std::get_if<Bf16Values>(&weight))
    return std::make_shared<FrozenBf16>(table, role, *values);
  if (const auto* groups = std::get_if<kernels::GroupedColumns>(&weight))
    return std::make_shared<FrozenGroups>(table, *groups);
  return std::make_shared<FrozenInt8>(table, role == Role::table ? for_table(plan.scheme) : plan.scheme,
                                      std::get<kernels::QuantizedColumns>(std::move(weight)), counts);
}

std::shared_ptr<const tensor::FrozenWeight> plan_frozen(const KernelTable& table, const Plan& plan, Role role,
                                                        Index rows, Index cols, Index float_rows) {
  if (role == Role::other || (role == Role::table && plan.table == TableForm::f32)) return nullptr;
  const bool is_table = role == Role::table;
  const Index k = is_table ? cols : rows, n = is_table ? rows : cols;
  if (is_table ? plan.table == TableForm::bf16 : plan.scheme.method == Method::bf16)
    return plan_frozen_floats(table, FloatType::bfloat16, role, rows, cols);
  if (!is_table && plan.scheme.method == Method::weight_only) {
    const std::size_t bytes =
        kernels::WeightOnlyMatrix::bytes(table, k, n, plan.scheme.bits, group_of(plan.scheme, k));
    return std::make_shared<PlannedWeight>(bytes, FrozenGroups::scratch_for, k, n);
  }
  const std::size_t bytes = kernels::Int8Weights::bytes(table, k, n, float_rows);
  return std::make_shared<PlannedWeight>(bytes, FrozenInt8::scratch_for, k, n);
}

std::shared_ptr<const tensor::FrozenWeight> freeze_floats(const KernelTable& table, FloatType type, Role role,
                                                          ConstMatrixRef w) {
  if (type == FloatType::float32) return std::make_shared<FrozenF32>(table, role, w);
  return std::make_shared<FrozenBf16>(table, role, round_to_bf16(w));
}

std::shared_ptr<const tensor::FrozenWeight> plan_frozen_floats(const KernelTable& table, FloatType type,
                                                               Role role, Index rows, Index cols) {
  const Index k = role == Role::table ? cols : rows, n = role == Role::table ? rows : cols;
  if (type == FloatType::float32)
    return std::make_shared<PlannedWeight>(FrozenF32::bytes_for(kernels::layout_of(*table.gemm_f32), k, n),
                                           FrozenF32::scratch_for, k, n);
  return std::make_shared<PlannedWeight>(FrozenBf16::bytes_for(kernels::layout_of(*table.gemm_bf16), k, n),
                                         FrozenBf16::scratch_for, k, n);
}

}  // namespace loglog::quant
