// The parts of `loglog outliers`: what is measured on a model, on activations of others, along a ladder of models; and how it is told.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/model_data.hpp"
#include "eval/outlier_measures.hpp"
#include "quant/activations/norm_split.hpp"

namespace loglog::cli {

inline constexpr std::uint64_t kResamples = 2000;

struct OutlierArguments {
  ModelArguments model;
  DataArguments data;
  quant::SurveySettings survey;
  std::uint64_t windows = 0;  // per pass; 0: as ModelPasses chooses
  bool zero = false, by_layer = false;
  std::uint64_t draws = 20;                // of random channels
  std::string dump, output;                // a site, and where its activations go
  std::string activations;                 // a file of others, instead of a model
  std::string ladder, sweep;               // a store, and which of its sweeps
  bool checkpoints = false;                // every one of the run
  std::optional<std::uint64_t> resamples;  // behind the intervals of a ladder; absent: kResamples
  bool json = false;
  std::string png, svg;
};

// Mean over the layers of each one's top-1 attention with its own inputs alone changed: what Dettmers et al. 2022, section 4.2, compare.
double mean_top1_alone(const std::vector<eval::Zeroed>& by_layer);

// The result for one set of activations: of a model, or of a file, of which there are only the activations.
struct OutlierResult {
  std::string subject;  // model or file
  std::variant<eval::SurveyedModel, quant::OutlierSurvey> measured;
  // Of a model alone.
  std::string data, isa;  // text; instruction set
  std::int64_t step = 0;
  std::uint64_t context = 0;  // positions of a window; 0: not known
  std::optional<eval::Zeroing> zeroing;
  // Gain and bias of the norm in front of a hidden state; nothing where there is none, or where it is not known.
  using NormValues = std::function<std::optional<std::pair<float, float>>(const quant::Spot&, quant::Index)>;
  NormValues norm;

  const eval::SurveyedModel* model() const;  // null for a file
  const quant::OutlierSurvey& survey() const;
  std::uint64_t positions() const;
  bool is_finite() const;
};

// Sites that count: those that were asked for, else qkv and what of up the model has. UsageError when it lacks one that was asked for.
std::vector<std::string> sites_of_model(const std::vector<std::string>& asked,
                                        const model::ModelConfig& model);

// eval::survey_model, which shows how far it is. Nothing when a signal came.
std::optional<eval::SurveyedModel> survey_showing(const OutlierArguments& a, const ModelData& data,
                                                  ModelPasses& passes, bool terminal);
// One pass of the model and what follows from it, without zeroing. Nothing when a signal came.
std::optional<OutlierResult> measure_outliers(const OutlierArguments& a, const ModelChoice& choice,
                                              const ModelData& data, ModelPasses& passes, bool terminal);
// The outliers, or without one the --top of largest RMS, set to zero. Nothing when a signal came.
std::optional<eval::Zeroing> measure_zeroing(const OutlierArguments& a, const eval::SurveyedModel& model,
                                             const ModelData& data, ModelPasses& passes, bool terminal);

// The whole verb, by what it was given. Results are exit codes.
int outliers_of_model(OutlierArguments a, const Environment& environment);
int outliers_of_file(const OutlierArguments& a);
int outliers_of_ladder(const OutlierArguments& a, const Environment& environment);
int outliers_of_checkpoints(OutlierArguments a, const Environment& environment);
int dump_activations(const OutlierArguments& a, const Environment& environment);

// "12.5%"; "-" where it is not defined.
std::string percent(double share);

// Text, JSON and pictures, as the arguments ask; the exit code.
int tell(const OutlierArguments& a, const OutlierResult& result);
void print_outliers(const OutlierArguments& a, const OutlierResult& result);
nlohmann::ordered_json outliers_json(const OutlierArguments& a, const OutlierResult& result);

}  // namespace loglog::cli
