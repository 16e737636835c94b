// The parts of `loglog outliers`: what is measured on a model, on activations of others, along a ladder of models; and how it is told.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_data.hpp"
#include "quant/activations/attention_focus.hpp"
#include "quant/activations/norm_split.hpp"
#include "quant/activations/outlier_survey.hpp"
#include "report/plot.hpp"

namespace loglog::cli {

struct OutlierArguments {
  ModelArguments model;
  DataArguments data;
  quant::SurveySettings survey;
  std::uint64_t windows = 0;  // per pass; 0: as ModelPasses chooses
  bool zero = false, by_layer = false;
  std::uint64_t draws = 20;        // of random channels
  std::string dump, output;        // a site, and where its activations go
  std::string activations;         // a file of others, instead of a model
  std::string ladder, sweep;       // a store, and which of its sweeps
  bool checkpoints = false;        // every one of the run
  std::uint64_t resamples = 2000;  // behind the intervals of a ladder
  bool json = false;
  std::string png, svg;
};

// What a model does without some channels.
struct Zeroed {
  std::vector<quant::Index> channels;
  std::optional<quant::Index> layer;  // in this one alone
  double loss;                        // nats per token
  double top1;                        // of the layers that are changed; quant/activations/attention_focus.hpp
};
struct Zeroing {
  bool by_criterion;  // or the --top of largest RMS, where it finds none
  double loss, top1;  // with all channels
  Zeroed outliers;
  std::vector<Zeroed> random;           // as many others, one draw each
  std::vector<Zeroed> by_layer;         // the outliers in one layer alone
  std::vector<Zeroed> random_by_layer;  // and others there, one draw for each layer
};
// Mean over the layers of each one's top-1 attention with its own inputs alone changed: what Dettmers et al. 2022, section 4.2, compare.
double mean_top1_alone(const std::vector<Zeroed>& by_layer);

// The result for one set of activations.
struct OutlierResult {
  std::string subject, data;  // model or file; text
  std::string isa;            // of a model
  std::int64_t step = 0;
  std::vector<std::string> sites;  // that count for the criterion
  std::uint64_t positions = 0;
  std::uint64_t context = 0;  // positions of a window; 0: not known
  std::optional<double> loss;
  quant::OutlierSurvey survey;
  std::optional<quant::AttentionFocus> attention;
  std::optional<Zeroing> zeroing;
  // Gain and bias of the norm in front of a hidden state; nothing where there is none, or where it is not known.
  using NormValues = std::function<std::optional<std::pair<float, float>>(const quant::Spot&, quant::Index)>;
  NormValues norm;

  bool is_finite() const;
};

// One pass of the model and what follows from it, without zeroing. Nothing when a signal came.
std::optional<OutlierResult> measure_outliers(const OutlierArguments& a, const ModelChoice& choice,
                                              const ModelData& data, ModelPasses& passes, bool terminal);
std::optional<Zeroing> measure_zeroing(const OutlierArguments& a, const OutlierResult& result,
                                       ModelPasses& passes, bool terminal);

// The whole verb, by what it was given. Results are exit codes.
int outliers_of_model(const OutlierArguments& a, const Environment& environment);
int outliers_of_file(const OutlierArguments& a);
int outliers_of_ladder(const OutlierArguments& a, const Environment& environment);
int outliers_of_checkpoints(const OutlierArguments& a, const Environment& environment);
int dump_activations(const OutlierArguments& a, const Environment& environment);

// Text, JSON and pictures, as the arguments ask; the exit code.
int tell(const OutlierArguments& a, const OutlierResult& result);
void print_outliers(const OutlierArguments& a, const OutlierResult& result);
nlohmann::ordered_json outliers_json(const OutlierArguments& a, const OutlierResult& result);
report::Figure heat_map(const OutlierResult& result);

}  // namespace loglog::cli
