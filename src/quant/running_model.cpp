#include "quant/running_model.hpp"

#include <algorithm>

#include "quant/packed_floats.hpp"

namespace loglog::quant {

model::MemoryPlan RunningModel::plan(const Setting& setting, const model::ModelConfig& config,
                                     const ModelForm* form, model::BatchShape passes) {
  const model::Freeze planned =
      form == nullptr ? planned_floats(setting.table, setting.type) : form->planned(setting.table);
  return model::Gpt::plan(config, passes, setting.type, setting.table, setting.threads,
                          model::Purpose::inference, planned);
}

RunningModel::RunningModel(const Setting& setting, const model::OpenedModel& model, const ModelForm* form,
                           model::BatchShape passes)
    : setting_(setting) {
  const model::ModelConfig& config = model.config.model;
  const model::MemoryPlan plan = RunningModel::plan(setting, config, form, passes);
  weight_bytes_ = plan.parameters + plan.frozen + plan.packed;
  const model::Freeze freeze = form == nullptr ? packed_floats(setting.table, setting.type, *model.parameters)
                                               : form->freeze(setting.table, &counts_);
  gpt_ = std::make_unique<model::Gpt>(config, passes, setting.type, model::Purpose::inference, freeze);
  model::load_parameters(form == nullptr ? *model.parameters : form->others(), *gpt_);
  scratch_.reserve(gpt_->scratch_bytes(setting.table, setting.threads));
}

ProductCounts RunningModel::counts() const {
  ProductCounts sum;
  for (const auto& [name, of_weight] : counts_) {
    sum.all += of_weight.all;
    sum.calibrated += of_weight.calibrated;
    sum.outliers += of_weight.outliers;
    sum.most_dimensions = std::max(sum.most_dimensions, of_weight.most_dimensions);
  }
  return sum;
}

}  // namespace loglog::quant
