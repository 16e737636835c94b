#include "model/width_scaling.hpp"

#include <cmath>

namespace loglog::model {

ScaledParameter scale_to_width(const ModelConfig& config, std::string_view name, tensor::Initial initial) {
  if (config.base_width == 0) return {initial, 1.0f};
  const float m = static_cast<float>(config.width) / static_cast<float>(config.base_width);
  if (name.starts_with("head.norm.")) return {{initial.mean / m, initial.sd}, 1 / m};
  if (name.starts_with("embedding.") || name == "head.weight")
    return {{initial.mean, initial.sd * std::sqrt(m)}, 1.0f};
  return {initial, name.ends_with(".weight") ? 1 / m : 1.0f};
}

}  // namespace loglog::model
