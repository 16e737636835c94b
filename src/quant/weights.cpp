#include "quant/weights.hpp"

#include "base/check.hpp"
#include "quant/migration.hpp"

namespace loglog::quant {

model::Freeze QuantizedWeights::freeze(const kernels::KernelTable& table, CountsByWeight* counts) const {
  return [this, &table, counts](std::string_view name, Index rows,
                                Index cols) -> std::shared_ptr<const tensor::FrozenWeight> {
    if (role_of(name) == Role::table && plan().table == TableForm::bf16) {
      return freeze_table(
          table, kernels::FloatType::bfloat16, others(), name, rows, cols,
          [name](Index first, kernels::ConstMatrixRef part) { require_finite(part, name, first); });
    }
    auto quantized = weight(table, name, rows, cols);
    if (!quantized) return nullptr;
    ProductCounts* const own = counts == nullptr ? nullptr : &(*counts)[std::string(name)];
    return quant::freeze(table, plan(), role_of(name), std::move(*quantized), own);
  };
}

model::Freeze QuantizedWeights::planned(const kernels::KernelTable& table) const {
  return [this, &table](std::string_view name, Index rows, Index cols) {
    return plan_frozen(table, plan(), role_of(name), rows, cols, float_rows(name));
  };
}

WeightsOfModel::WeightsOfModel(const model::OpenedModel& model, const Plan& plan,
                               const Calibrated& calibrated)
    : source_(*model.parameters), plan_(plan) {
  const model::ModelConfig& config = model.config.model;
  const Scheme& scheme = plan.scheme;
  if (scheme.migration > 0) {
    LOGLOG_CHECK(calibrated.inputs != nullptr, "{} without calibration", scheme.name);
    migrated_ = std::make_unique<MigratedParameters>(source_, config, *calibrated.inputs, scheme.migration);
  }
  if (calibrated.inputs == nullptr || !scheme.decomposes() || calibrated.share > 1) return;
  for (const model::ParameterShape& p : model::parameter_shapes(config)) {
    if (role_of(p.name) != Role::linear) continue;
    std::vector<Index> rows = calibrated.inputs->outliers(p.name, calibrated.share);
    if (!rows.empty()) float_rows_.emplace(p.name, std::move(rows));
  }
}

std::span<const Index> WeightsOfModel::float_rows_of(std::string_view name) const {
  const auto found = float_rows_.find(name);
  return found == float_rows_.end() ? std::span<const Index>() : found->second;
}

std::optional<QuantizedWeight> WeightsOfModel::weight(const kernels::KernelTable& table,
                                                      std::string_view name, Index rows, Index cols) const {
  const Role role = role_of(name);
  if (role == Role::other || (role == Role::table && plan_.table == TableForm::f32)) return std::nullopt;
  const model::ParameterMatrix w(others(), name, rows, cols);
  return quantize_weight(table, plan_, role, w.values(), float_rows_of(name), name);
}

}  // namespace loglog::quant
