// The form in which a model's weights are kept while it runs.
#pragma once
#include <map>
#include <string>

#include "model/open_model.hpp"
#include "quant/quantized_weight.hpp"

namespace loglog::quant {

// What each weight was multiplied with.
using CountsByWeight = std::map<std::string, ProductCounts, std::less<>>;

class ModelForm {
 public:
  virtual ~ModelForm() = default;
  // What stays float32.
  virtual const model::ParameterSource& others() const = 0;
  // The other weights, as a Gpt takes them. This object and `counts`, which may be null, outlive the model.
  virtual model::Freeze freeze(const kernels::KernelTable& table, CountsByWeight* counts) const = 0;
  // The same for Gpt::plan.
  virtual model::Freeze planned(const kernels::KernelTable& table) const = 0;
};

}  // namespace loglog::quant
