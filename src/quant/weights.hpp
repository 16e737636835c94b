// The weights of a quantised model, one at a time: made from a model in float32, or read from a file (model_file.hpp).
#pragma once
#include <map>
#include <optional>
#include <string>

#include "model/open_model.hpp"
#include "quant/calibration.hpp"
#include "quant/model_form.hpp"
#include "quant/quantized_weight.hpp"

namespace loglog::quant {

class QuantizedWeights : public ModelForm {
 public:
  virtual const Plan& plan() const = 0;
  // Rows of a weight that stay float32.
  virtual Index float_rows(std::string_view name) const = 0;
  // A parameter of this shape; nothing where it stays float32.
  virtual std::optional<QuantizedWeight> weight(const kernels::KernelTable& table, std::string_view name,
                                                Index rows, Index cols) const = 0;

  model::Freeze freeze(const kernels::KernelTable& table, CountsByWeight* counts) const final;
  model::Freeze planned(const kernels::KernelTable& table) const final;
};

// What calibration, where there was one, says of the weights.
struct Calibrated {
  const Calibration* inputs = nullptr;
  double share = 0;  // of positions from which a dimension's rows stay float32; above 1: none do
};

// Quantised as they are asked for. ContractError where the scheme migrates and nothing was calibrated.
class WeightsOfModel final : public QuantizedWeights {
 public:
  WeightsOfModel(const model::OpenedModel& model, const Plan& plan, const Calibrated& calibrated);
  const Plan& plan() const override { return plan_; }
  const model::ParameterSource& others() const override { return migrated_ ? *migrated_ : source_; }
  Index float_rows(std::string_view name) const override {
    return static_cast<Index>(float_rows_of(name).size());
  }
  std::optional<QuantizedWeight> weight(const kernels::KernelTable& table, std::string_view name, Index rows,
                                        Index cols) const override;
  std::span<const Index> float_rows_of(std::string_view name) const;  // which they are, ascending

 private:
  const model::ParameterSource& source_;
  Plan plan_;
  std::unique_ptr<model::ParameterSource> migrated_;
  std::map<std::string, std::vector<Index>, std::less<>> float_rows_;  // by weight
};

}  // namespace loglog::quant
