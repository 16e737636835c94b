#include "quant/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::quant {
namespace {

void require_finite(const std::string& weight, kernels::ConstMatrixRef x) {
  Index bad = 0;
  for (Index i = 0; i < x.rows; ++i)
    bad += std::count_if(x.row(i), x.row(i) + x.cols, [](float value) { return !std::isfinite(value); });
  if (bad == 0) return;
  throw Error(
      Exit::diverged,
      fmt::format("calibration: {} of {} inputs of '{}' are not finite, and nothing can be learned from "
                  "them: the model is damaged or its training has diverged",
                  bad, x.rows * x.cols, weight));
}

}  // namespace

void Calibration::add(const std::string& weight, kernels::ConstMatrixRef x) {
  require_finite(weight, x);
  Seen& seen = seen_[weight];
  InputRange& range = seen.range;
  LOGLOG_CHECK(seen.positions == 0 || range.largest.size() == static_cast<std::size_t>(x.cols),
               "{} inputs of {}, which had {} before", x.cols, weight, range.largest.size());
  range.largest.resize(static_cast<std::size_t>(x.cols));
  range.above.resize(range.largest.size());
  for (Index i = 0; i < x.rows; ++i) {
    const float* const row = x.row(i);
    for (Index k = 0; k < x.cols; ++k) {
      const float magnitude = std::fabs(row[k]);
      range.largest[k] = std::max(range.largest[k], magnitude);
      if (magnitude >= threshold_) ++range.above[k];
    }
  }
  seen.positions += static_cast<std::uint64_t>(x.rows);
  positions_ = std::max(positions_, seen.positions);
}

std::vector<Index> Calibration::outliers(const std::string& weight, double share) const {
  std::vector<Index> result;
  const auto found = seen_.find(weight);
  if (found == seen_.end()) return result;
  const std::vector<std::uint64_t>& above = found->second.range.above;
  const double least = std::max(1.0, share * static_cast<double>(found->second.positions));
  for (std::size_t k = 0; k < above.size(); ++k)
    if (static_cast<double>(above[k]) >= least) result.push_back(static_cast<Index>(k));
  return result;
}

std::span<const float> Calibration::largest(const std::string& weight) const {
  const auto found = seen_.find(weight);
  return found == seen_.end() ? std::span<const float>() : found->second.range.largest;
}

void CalibrationProbe::input(kernels::ExecContext&, nn::Place place, const tensor::FloatView& x) {
  const std::string weight = weight_at(config_, place);
  if (weight.empty()) return;
  LOGLOG_CHECK(x.type == kernels::FloatType::float32, "inputs of {} are not float32", weight);
  into_.add(weight, x.as<float>());
}

std::string weight_at(const model::ModelConfig& config, nn::Place place) {
  const auto in_block = [&](std::string_view name) {
    return fmt::format("blocks.{}.{}.weight", place.layer, name);
  };
  switch (place.site) {
    case nn::Site::qkv:
      return in_block("attention.qkv");
    case nn::Site::attention_out:
      return in_block("attention.out");
    case nn::Site::up:
      return in_block(config.is_gated() ? "mlp.gate_up" : "mlp.up");
    case nn::Site::down:
      return in_block("mlp.down");
    default:
      return "";
  }
}

}  // namespace loglog::quant
