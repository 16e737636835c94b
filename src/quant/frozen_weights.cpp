// The forms of weights that products take in place of float32.
#include <algorithm>
#include <functional>
#include <type_traits>

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

float as_float(float x) {
  return x;
}
float as_float(bf16 x) {
  return kernels::to_float(x);
}

// A product of floats with weights that were packed: what is different between the two types.
void multiply_packed(ExecContext& ctx, const FloatView& out, const ConstFloatView& in,
                     const kernels::PackedMatrix<float>& w, const GemmEpilogue& epilogue) {
  kernels::gemm(ctx, in.as<float>(), w, out.as<float>(), kernels::Accumulate::no, epilogue);
}
void multiply_packed(ExecContext& ctx, const FloatView& out, const ConstFloatView& in,
                     const kernels::PackedMatrix<bf16>& w, const GemmEpilogue& epilogue) {
  kernels::ScratchFrame frame(ctx.scratch);
  const ConstFloatView a = input_as(FloatType::bfloat16, ctx, frame, in);
  kernels::gemm_bf16(ctx, a.as<bf16>(), w, out, kernels::Accumulate::no, epilogue);
}

template <class T>
kernels::PanelLayout layout_for(const KernelTable& table) {
  if constexpr (std::is_same_v<T, float>)
    return kernels::layout_of(*table.gemm_f32);
  else
    return kernels::layout_of(*table.gemm_bf16);
}

// In float32 only of a model whose products are float32: so are their inputs and results.
template <class T>
class FrozenFloats final : public tensor::FrozenWeight {
 public:
  // As the parameter lies, of which a table's product takes the transpose.
  FrozenFloats(const KernelTable& table, Role role, kernels::ConstMatrix<T> w)
      : table_(role == Role::table), packed_(table, table_ ? w.transposed() : w) {}
  // Of a table, packed already.
  explicit FrozenFloats(kernels::PackedMatrix<T> packed) : table_(true), packed_(std::move(packed)) {}

  void multiply(ExecContext& ctx, const FloatView& out, const ConstFloatView& in,
                const GemmEpilogue& epilogue) const override {
    multiply_packed(ctx, out, in, packed_, epilogue);
  }
  void copy_row(float* out, Index row) const override {
    if (!table_) return FrozenWeight::copy_row(out, row);
    const Index width = packed_.rows();
    for (Index k = 0; k < width; ++k)
      out[k] = as_float(packed_.data()[packed_.layout().offset(width, k, row)]);
  }
  std::size_t scratch_bytes(const KernelTable& table, int threads, Index rows) const override {
    return scratch_for(table, threads, rows, packed_.rows(), packed_.cols());
  }
  std::size_t bytes() const override { return bytes_for(packed_.layout(), packed_.rows(), packed_.cols()); }

  static std::size_t scratch_for(const KernelTable& table, int threads, Index rows, Index k, Index n) {
    using kernels::Weights, kernels::LeftFactor;
    if constexpr (std::is_same_v<T, float>) {
      return kernels::gemm_scratch_bytes(table, threads, rows, n, k, Weights::packed, LeftFactor::as_it_is);
    } else {
      const auto product = [&](FloatType c) {
        return kernels::gemm_bf16_scratch_bytes(table, threads, rows, n, k, Weights::packed, c,
                                                LeftFactor::as_it_is);
      };
      return matrix_bytes(rows, k) + std::max(product(FloatType::float32), product(FloatType::bfloat16)) +
             kernels::rowwise_scratch_bytes(table, threads, rows, k);
    }
  }
  static std::size_t bytes_for(const kernels::PanelLayout& layout, Index k, Index n) {
    return static_cast<std::size_t>(layout.elements(k, n)) * sizeof(T);
  }
  // What there is to know of one that is not there.
  static std::shared_ptr<const tensor::FrozenWeight> planned(const KernelTable& table, Index k, Index n) {
    return std::make_shared<PlannedWeight>(bytes_for(layout_for<T>(table), k, n), scratch_for, k, n);
  }

 private:
  bool table_;
  kernels::PackedMatrix<T> packed_;
};

std::shared_ptr<const tensor::FrozenWeight> freeze_bf16(const KernelTable& table, Role role,
                                                        const Bf16Values& w) {
  return std::make_shared<FrozenFloats<bf16>>(table, role,
                                              kernels::ConstMatrix<bf16>(w.values.data(), w.rows, w.cols));
}

// Panel by panel: no more of the table than a piece is there twice.
template <class T>
std::shared_ptr<const tensor::FrozenWeight> freeze_rows(const KernelTable& table,
                                                        const model::ParameterSource& source,
                                                        std::string_view name, Index rows, Index cols,
                                                        const model::TakeRows& look) {
  constexpr Index kPieceFloats = Index{1} << 20;
  kernels::PackedMatrix<T> packed(table, cols, rows);
  kernels::Scratch scratch(kernels::pack_scratch_bytes(table, 1, cols));
  ExecContext ctx{table, 1, scratch};
  const Index nr = packed.layout().nr,
              most = std::max<Index>(1, kPieceFloats / std::max<Index>(1, cols * nr)) * nr;
  source.each_rows(name, rows, cols, most, [&](Index first, ConstMatrixRef part) {
    if (look) look(first, part);
    packed.pack_columns(ctx, first, part.transposed());
  });
  return std::make_shared<FrozenFloats<T>>(std::move(packed));
}

class FrozenInt8 final : public tensor::FrozenWeight {
 public:
  FrozenInt8(const KernelTable& table, const Scheme& scheme, kernels::QuantizedColumns w,
             ProductCounts* counts)
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
    const auto rows = static_cast<double>(in.rows), outputs = static_cast<double>(weights_.cols());
    counts_->all += rows * static_cast<double>(in.cols) * outputs;
    counts_->calibrated += rows * static_cast<double>(weights_.float_rows().size()) * outputs;
    counts_->outliers += static_cast<double>(outliers.elements) * outputs;
    counts_->most_dimensions = std::max(counts_->most_dimensions, outliers.columns);
  }

  kernels::Int8Options options_;
  kernels::Int8Weights weights_;
  ProductCounts* counts_;
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
                                                   QuantizedWeight weight, ProductCounts* counts) {
  if (const auto* values = std::get_if<Bf16Values>(&weight)) return freeze_bf16(table, role, *values);
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
  if (type == FloatType::float32) return std::make_shared<FrozenFloats<float>>(table, role, w);
  return freeze_bf16(table, role, round_to_bf16(w));
}

std::shared_ptr<const tensor::FrozenWeight> freeze_table(const KernelTable& table, FloatType type,
                                                         const model::ParameterSource& source,
                                                         std::string_view name, Index rows, Index cols,
                                                         const model::TakeRows& look) {
  return type == FloatType::float32 ? freeze_rows<float>(table, source, name, rows, cols, look)
                                    : freeze_rows<bf16>(table, source, name, rows, cols, look);
}

std::shared_ptr<const tensor::FrozenWeight> plan_frozen_floats(const KernelTable& table, FloatType type,
                                                               Role role, Index rows, Index cols) {
  const Index k = role == Role::table ? cols : rows, n = role == Role::table ? rows : cols;
  return type == FloatType::float32 ? FrozenFloats<float>::planned(table, k, n)
                                    : FrozenFloats<bf16>::planned(table, k, n);
}

}  // namespace loglog::quant
