#include "quant/quantized_weight.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::quant {

Bf16Values round_to_bf16(kernels::ConstMatrixRef w) {
  Bf16Values result{w.rows, w.cols, {}};
  result.values.reserve(static_cast<std::size_t>(w.rows * w.cols));
  for (Index i = 0; i < w.rows; ++i)
    std::transform(w.row(i), w.row(i) + w.cols, std::back_inserter(result.values),
                   [](float x) { return kernels::to_bf16(x); });
  return result;
}

Index group_of(const Scheme& scheme, Index rows) {
  return scheme.group == 0 ? std::max<Index>(1, rows) : std::min(scheme.group, std::max<Index>(1, rows));
}

Role role_of(std::string_view parameter) {
  if (parameter == "embedding.token" || parameter == "head.weight") return Role::table;
  return parameter.starts_with("blocks.") && parameter.ends_with(".weight") ? Role::linear : Role::other;
}

void require_finite(kernels::ConstMatrixRef w, std::string_view name, Index first_row) {
  for (Index i = 0; i < w.rows; ++i) {
    const float* const row = w.row(i);
    const auto* bad = std::find_if(row, row + w.cols, [](float x) { return !std::isfinite(x); });
    if (bad != row + w.cols) {
      throw InputError(fmt::format("parameter '{}' is {} at row {}, column {}: it cannot be quantised", name,
                                   *bad, first_row + i, bad - row));
    }
  }
}

void require_int8_depth(Index inputs, std::string_view what) {
  if (inputs > kernels::kInt8MaxDepth)
    throw InputError(
        fmt::format("{} has {} inputs: int8 sums hold for {} at most; scheme bf16 has no such limit", what,
                    inputs, kernels::kInt8MaxDepth));
}

std::optional<QuantizedWeight> quantize_weight(const kernels::KernelTable& table, const Plan& plan, Role role,
                                               kernels::ConstMatrixRef w, std::span<const Index> float_rows,
                                               std::string_view name) {
  if (role == Role::other || (role == Role::table && plan.table == TableForm::f32)) return std::nullopt;
  require_finite(w, name);
  const Scheme& scheme = plan.scheme;
  if (role == Role::table) {
    if (plan.table == TableForm::bf16) return round_to_bf16(w);
    LOGLOG_CHECK(takes_table(scheme, plan.table), "an int8 table with {}", scheme.name);
    require_int8_depth(w.cols, fmt::format("parameter '{}'", name));
    // One scale per token, whatever the scheme's scope is: tokens differ in norm.
    return kernels::quantize_columns(table, w.transposed(),
                                     {scheme.weights.range, kernels::Int8Scope::vector});
  }
  if (scheme.method == Method::bf16) return round_to_bf16(w);
  if (scheme.method == Method::weight_only) {
    const bool is_absmax = scheme.weights.range == kernels::Int8Range::absmax;
    return kernels::quantize_groups(w, scheme.bits, group_of(scheme, w.rows),
                                    is_absmax ? kernels::GroupRange::absmax : kernels::GroupRange::zeropoint);
  }
  require_int8_depth(w.rows, fmt::format("parameter '{}'", name));
  return kernels::quantize_columns(table, w, scheme.weights, float_rows);
}

}  // namespace loglog::quant
