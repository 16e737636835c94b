// Difficulty moved from activations to weights: SmoothQuant (Xiao et al. 2023), equations 3 and 4.
//
//   norm(x) W = (norm(x) / s) (s W),   s[j] = max|X[:,j]|^alpha / max|W[j,:]|^(1 - alpha)
//
// The division goes into the gain and the bias of the norm, so that only what follows a norm is migrated: the inputs of attention's
// projections and of the perceptron's first product.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/open_model.hpp"
#include "quant/calibration.hpp"

namespace loglog::quant {

// The parameters of the same function, migrated. UsageError for a model without gains (model.norm = none). `source` outlives the
// result.
class MigratedParameters final : public model::ParameterSource {
 public:
  MigratedParameters(const model::ParameterSource& source, const model::ModelConfig& config,
                     const Calibration& calibration, double alpha);
  void read(std::string_view name, std::span<float> out) const override;
  void each_rows(std::string_view name, Index rows, Index cols, Index most,
                 const model::TakeRows& take) const override;

 private:
  void add(const std::string& norm, const std::string& weight, Index outputs, const Calibration& calibration,
           double alpha);

  const model::ParameterSource& source_;
  std::map<std::string, std::vector<float>, std::less<>> by_norm_;  // s, by "blocks.0.attention.norm"
  std::map<std::string, std::vector<float>, std::less<>>
      by_weight_;  // the same by "blocks.0.attention.qkv.weight"
};

}  // namespace loglog::quant
