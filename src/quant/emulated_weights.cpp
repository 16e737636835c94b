#include "quant/emulated_weights.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include "base/check.hpp"

namespace loglog::quant {

std::string name_of(const ModelPart& part) {
  std::string name;
  const auto add = [&](const std::string& text) { name += name.empty() ? text : " " + text; };
  if (part.layer) add(fmt::format("block {}", *part.layer));
  if (part.site) add(std::string(nn::name_of(*part.site)));
  if (part.dimension) add(fmt::format("dimension {}", *part.dimension));
  return name.empty() ? "everything" : name;
}

EmulatedWeights::EmulatedWeights(const WeightsOfModel& weights, const model::ModelConfig& config,
                                 const PartialError& error, ErrorPower* power)
    : weights_(weights), error_(error), power_(power) {
  LOGLOG_CHECK(can_emulate(weights.plan().scheme), "{} is not emulated", weights.plan().scheme.name);
  for (Index layer = 0; layer < config.layers; ++layer)
    for (const nn::Site site : kLinearSites)
      places_.emplace(weight_at(config, {site, layer}), nn::Place{site, layer});
}

// Nothing for a weight that is exact.
std::optional<Emulation> EmulatedWeights::emulation_of(std::string_view name, Index inputs) const {
  const auto found = places_.find(name);
  if (found == places_.end()) return std::nullopt;
  const ModelPart& part = error_.part;
  const bool is_held = part.holds(found->second);
  const bool is_cut = is_held && part.dimension && *part.dimension < inputs;  // a row of it is the part
  if (!is_cut && (is_held && !part.dimension) != error_.inside) return std::nullopt;
  Emulation emulation;
  emulation.error = error_.error;
  emulation.seed = XXH3_64bits_withSeed(name.data(), name.size(), error_.seed);
  if (is_cut) {
    emulation.dimensions.assign(static_cast<std::size_t>(inputs), !error_.inside);
    emulation.dimensions[static_cast<std::size_t>(*part.dimension)] = error_.inside;
  }
  const std::span<const Index> float_rows = weights_.float_rows_of(name);
  emulation.float_rows.assign(float_rows.begin(), float_rows.end());
  return emulation;
}

model::Freeze EmulatedWeights::freeze(const kernels::KernelTable& table, CountsByWeight*) const {
  return [this, &table](std::string_view name, Index rows,
                        Index cols) -> std::shared_ptr<const tensor::FrozenWeight> {
    const std::optional<Emulation> emulation = emulation_of(name, rows);
    if (!emulation) return nullptr;
    const model::ParameterMatrix w(others(), name, rows, cols);
    require_finite(w.values(), name);
    require_int8_depth(rows, fmt::format("parameter '{}'", name));
    return emulate(table, weights_.plan().scheme, w.values(), *emulation, power_);
  };
}

model::Freeze EmulatedWeights::planned(const kernels::KernelTable&) const {
  return
      [this](std::string_view name, Index rows, Index cols) -> std::shared_ptr<const tensor::FrozenWeight> {
        return emulation_of(name, rows) ? plan_emulated(rows, cols) : nullptr;
      };
}

}  // namespace loglog::quant
