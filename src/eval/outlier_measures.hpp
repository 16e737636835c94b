// What the activations of a model are on a text, what it is without some of their channels, and how measures of many models go with their
// losses.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/clustered_mean.hpp"
#include "eval/window_passes.hpp"
#include "quant/activations/attention_focus.hpp"
#include "quant/activations/outlier_survey.hpp"

namespace loglog::eval {

using model::Index;

// How one of several passes over the text is told of: by its name, then how many windows are done.
using OnPass = std::function<std::function<void(std::uint64_t)>(const std::string& pass)>;

struct SurveyedModel {
  double loss = 0;         // nats per token
  ClusteredMean clusters;  // of the losses, as Clusters has them
  quant::OutlierSurvey survey;
  quant::AttentionFocus attention;
  bool is_finite() const;
};
// One pass, and one more where there is a relative threshold. The shape of `model` is WindowPasses::shape. Nothing when `stop` asked
// to break off.
std::optional<SurveyedModel> survey_model(quant::RunningModel& model, const WindowedText& text,
                                          const quant::SurveySettings& settings, const Stop& stop,
                                          const OnPass& on_pass = {});

// What to set to zero, and what to compare with.
struct ZeroingPlan {
  std::vector<std::string> sites;
  std::vector<Index> channels;  // ascending
  Index width = 0;              // of the hidden states at the sites
  std::uint64_t draws = 20;     // of as many other channels
  std::uint64_t seed = 1;
  std::vector<Index> layers = {};  // in which they are set to zero alone, too
};

// What a model does without some channels, or with all of them.
struct Zeroed {
  std::vector<Index> channels;
  std::optional<Index> layer;  // in this one alone
  double loss = 0;             // nats per token
  ClusteredMean clusters;      // of the losses, as Clusters has them
  double top1 = 0;             // of the layers that are changed; quant/activations/attention_focus.hpp
};
struct Zeroing {
  Zeroed chosen;
  std::vector<Zeroed> random;           // as many others, one draw each
  std::vector<Zeroed> by_layer;         // the chosen ones in one layer alone
  std::vector<Zeroed> random_by_layer;  // and others there, one draw for each layer
};
// The model with all channels.
Zeroed whole(const SurveyedModel& model);
// ContractError when the width leaves no others. Nothing when `stop` asked to break off.
std::optional<Zeroing> zero_channels(quant::RunningModel& model, const WindowedText& text,
                                     const ZeroingPlan& plan, const Stop& stop, const OnPass& on_pass = {});

// One model of a ladder. What depends on the unit of activations is only counted; the rest is scale-free.
struct OutlierRung {
  std::string name;
  double n = 0, d = 0;  // parameters; tokens that it was trained on
  std::int64_t step = 0;
  double loss = 0, kurtosis = 0, max_to_median = 0;
  std::vector<std::size_t> outliers;  // by each criterion, in the order of the survey
  double overlap = 0, overlap_p = 0, top1 = 0, first_token = 0;
  bool is_finite = true;
};
OutlierRung rung_of(std::string name, double n, double d, std::int64_t step, const SurveyedModel& model);

}  // namespace loglog::eval
