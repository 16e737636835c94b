// What studies of trained models share: the models, the text, and what they are in one form or another.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/form_losses.hpp"
#include "model/open_model.hpp"
#include "quant/activations/outlier_survey.hpp"
#include "quant/calibration.hpp"
#include "studies/study.hpp"

namespace loglog::studies {

struct TrainedModel {
  std::string name;  // of its size, and of its variant: "e-sgd"
  std::int64_t seed;
  Path folder;  // of the run
  model::OpenedModel model;
  double parameters;          // N
  double tokens;              // D
  double loss;                // validation, nats per token
  std::string title() const;  // "g, seed 1"
  std::string fact() const;
};

// Trains what is missing of the sweep configs/studies/NAME.toml, which is built into the program. Nothing when a signal came; Error
// when a run failed. Those that diverged have no model: their names go to `diverged`, or are an Error where that is null.
std::optional<std::vector<TrainedModel>> trained_models(const Workplace& workplace, const std::string& sweep,
                                                        std::vector<std::string>* diverged = nullptr);

// What a page says of the text that its numbers come from.
std::string protocol_of(const eval::WindowedText& text);
std::vector<std::string> facts_of(const eval::WindowedText& text);
std::vector<std::string> facts_of(const data::TokenFile& file);  // without how it is cut

// Validation text to measure on, training text to calibrate with.
class ArmTexts {
 public:
  // `tokens` and `calibration_tokens` are the manifest's.
  ArmTexts(const Path& data, const model::RunConfig& config, const Manifest& manifest);

  const eval::WindowedText& text() const { return text_; }
  const eval::WindowedText& calibration() const { return calibration_; }
  double bytes_per_token() const;  // 1 where it is not known

 private:
  eval::WindowedText text_, calibration_;
};

// A model in memory, for passes over this text. `form` may be null.
quant::RunningModel running(const quant::Setting& setting, const model::OpenedModel& model,
                            const quant::ModelForm* form, const eval::WindowedText& text);

// Each gives nothing when `stop` asked to break off.
using eval::Stop;
std::optional<quant::Calibration> calibrated(const quant::Setting& setting, const model::OpenedModel& model,
                                             const ArmTexts& texts, float threshold, const Stop& stop);
// `form` may be null.
std::optional<eval::FormLosses> losses_in(const quant::Setting& setting, const model::OpenedModel& model,
                                          const quant::ModelForm* form, const eval::WindowedText& text,
                                          const Stop& stop);
// Channels by the criterion of LLM.int8(), as its first magnitude has it.
std::optional<std::vector<quant::Index>> find_outliers(const quant::Setting& setting,
                                                       const model::OpenedModel& model, const ArmTexts& texts,
                                                       quant::SurveySettings criterion, const Stop& stop);

// Whether the detector finds what was planted beside what was there, and nothing else; all ascending.
Control planted_control(const std::string& model, const std::vector<quant::Index>& planted,
                        const std::vector<quant::Index>& natural, const std::vector<quant::Index>& found);

// A copy in memory that may be changed; and the model whose parameters are those of `gpt`, which outlives it.
std::unique_ptr<model::Gpt> copy_of(const model::OpenedModel& model);
model::OpenedModel in_memory(const model::OpenedModel& model, const model::Gpt& gpt);

}  // namespace loglog::studies
