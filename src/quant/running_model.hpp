// A model in memory, ready for passes: in float32 or bfloat16, or in the form that a scheme gives it.
#pragma once
#include <memory>

#include "kernels/exec.hpp"
#include "model/open_model.hpp"
#include "quant/weights.hpp"

namespace loglog::quant {

// How it runs.
struct Setting {
  const kernels::KernelTable& table;
  int threads;
  model::FloatType type;  // of the products that no form changes, and of what layers keep inside
};

class RunningModel {
 public:
  // `form` is null for a model as it is; `model` and `form` are not needed afterwards, but for what `form` itself keeps.
  RunningModel(const Setting& setting, const model::OpenedModel& model, const ModelForm* form,
               model::BatchShape passes);

  // What that takes, without reading a tensor.
  static model::MemoryPlan plan(const Setting& setting, const model::ModelConfig& config,
                                const ModelForm* form, model::BatchShape passes);

  model::Gpt& gpt() { return *gpt_; }
  kernels::ExecContext context() { return {setting_.table, setting_.threads, scratch_}; }
  const Setting& setting() const { return setting_; }
  // int8 products since the beginning, of all weights together; nothing without a form that counts.
  ProductCounts counts() const;
  std::size_t weight_bytes() const { return weight_bytes_; }  // of all parameters, in whatever form

 private:
  Setting setting_;
  CountsByWeight counts_;
  std::size_t weight_bytes_;
  std::unique_ptr<model::Gpt> gpt_;
  kernels::Scratch scratch_;
};

}  // namespace loglog::quant
