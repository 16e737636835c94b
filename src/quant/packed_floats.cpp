#include "quant/packed_floats.hpp"

#include "quant/quantized_weight.hpp"

namespace loglog::quant {
namespace {

bool packs(Role role, model::FloatType type) {
  return role == Role::linear || (role == Role::table && type == model::FloatType::float32);
}

}  // namespace

model::Freeze packed_floats(const kernels::KernelTable& table, model::FloatType type,
                            const model::ParameterSource& parameters) {
  return [&table, &parameters, type](std::string_view name, Index rows,
                                     Index cols) -> std::shared_ptr<const tensor::FrozenWeight> {
    const Role role = role_of(name);
    if (!packs(role, type)) return nullptr;
    if (role == Role::table) return freeze_table(table, type, parameters, name, rows, cols);
    return freeze_floats(table, type, role, model::ParameterMatrix(parameters, name, rows, cols).values());
  };
}

model::Freeze planned_floats(const kernels::KernelTable& table, model::FloatType type) {
  return [&table, type](std::string_view name, Index rows,
                        Index cols) -> std::shared_ptr<const tensor::FrozenWeight> {
    const Role role = role_of(name);
    return packs(role, type) ? plan_frozen_floats(table, type, role, rows, cols) : nullptr;
  };
}

}  // namespace loglog::quant
