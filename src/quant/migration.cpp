#include "quant/migration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"
#include "quant/quantized_weight.hpp"

namespace loglog::quant {

MigratedParameters::MigratedParameters(const model::ParameterSource& source, const model::ModelConfig& config,
                                       const Calibration& calibration, double alpha)
    : source_(source) {
  if (config.norm == "none")
    throw UsageError("model.norm = none: there is no gain that smoothquant could divide");
  for (Index layer = 0; layer < config.layers; ++layer) {
    const auto add_site = [&](nn::Site site, std::string_view branch, Index outputs) {
      add(fmt::format("blocks.{}.{}.norm", layer, branch), weight_at(config, {site, layer}), outputs,
          calibration, alpha);
    };
    add_site(nn::Site::qkv, "attention", config.width + 2 * config.kv_width());
    if (config.has_mlp())
      add_site(nn::Site::up, "mlp", config.is_gated() ? 2 * config.hidden() : config.hidden());
  }
}

void MigratedParameters::add(const std::string& norm, const std::string& weight, Index outputs,
                             const Calibration& calibration, double alpha) {
  const std::span<const float> inputs = calibration.largest(weight);
  LOGLOG_CHECK(!inputs.empty(), "the inputs of {} were not calibrated", weight);
  std::vector<float> w(inputs.size() * static_cast<std::size_t>(outputs)), factors(inputs.size(), 1.0f);
  source_.read(weight, w);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    float largest = 0;
    for (Index j = 0; j < outputs; ++j)
      largest = std::max(largest,
                         std::fabs(w[k * static_cast<std::size_t>(outputs) + static_cast<std::size_t>(j)]));
    const double s = std::pow(inputs[k], alpha) / std::pow(largest, 1 - alpha);
    if (std::isfinite(s) && s > 1e-30 && s < 1e30)
      factors[k] = static_cast<float>(s);  // else nothing to share
  }
  by_norm_.emplace(norm, factors);
  by_weight_.emplace(weight, std::move(factors));
}

void MigratedParameters::read(std::string_view name, std::span<float> out) const {
  source_.read(name, out);
  const std::string_view owner = name.substr(0, name.rfind('.'));  // of a gain or a bias
  if (const auto norm = by_norm_.find(owner); norm != by_norm_.end()) {
    for (std::size_t k = 0; k < out.size(); ++k) out[k] /= norm->second[k];
  } else if (const auto weight = by_weight_.find(name); weight != by_weight_.end()) {
    const std::size_t outputs = out.size() / weight->second.size();
    for (std::size_t k = 0; k < weight->second.size(); ++k)
      for (float& x : out.subspan(k * outputs, outputs)) x *= weight->second[k];
  }
}

// Tables are what they were.
void MigratedParameters::each_rows(std::string_view name, Index rows, Index cols, Index most,
                                   const model::TakeRows& take) const {
  if (role_of(name) == Role::table)
    source_.each_rows(name, rows, cols, most, take);
  else
    ParameterSource::each_rows(name, rows, cols, most, take);
}

}  // namespace loglog::quant
