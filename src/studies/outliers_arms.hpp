// What the study `outliers` measures on its models.
#pragma once
#include "eval/outlier_measures.hpp"
#include "studies/model_arms.hpp"

namespace loglog::studies {

using quant::Index;

// Where outliers are counted: of the manifest's magnitudes the first is the paper's 6.0, the last one relative.
inline const std::vector<std::string> kCriterionSites = {"qkv", "up"};
std::string name_of(const quant::Criterion& criterion);  // "6.0", "6 x median RMS" (of the channels)
std::string criterion_text(const Manifest& manifest);    // of the first: "6.0 / 25% / 6%"

// What every measurement takes.
struct OutlierBench {
  const Manifest& manifest;
  const Workplace& workplace;
  const eval::WindowedText& text;
  quant::SurveySettings survey;

  OutlierBench(const Manifest& m, const Workplace& w, const eval::WindowedText& t);
  quant::Setting setting() const { return {*workplace.table, workplace.threads, model::FloatType::float32}; }
};

// All that follows gives nothing when a signal came.

// A run of the ladder: every checkpoint, and the last one in full.
struct LadderRun {
  const TrainedModel* trained;
  std::vector<eval::OutlierRung> rungs;  // by step
  eval::SurveyedModel last;
  std::string name() const;  // "g, seed 1"
};
std::optional<LadderRun> climb(const OutlierBench& bench, const TrainedModel& trained);

// The channels of largest RMS set to zero, and as many others.
std::optional<eval::Zeroing> zero_top(const OutlierBench& bench, const LadderRun& run);

// Outliers where there can be none, and what layers have in common there: of several models together.
struct NullCounts {
  std::size_t outliers = 0, relative = 0;  // by the first criterion and by the relative one
  std::vector<double> kurtosis, overlap;   // of each
};
// Untrained models of the shape of a trained one, one for each seed.
std::optional<NullCounts> survey_untrained(const OutlierBench& bench, const TrainedModel& trained);

// A trained model's activations in random bases: each hidden state is rotated where it is looked at, all by the same rotation; the
// model itself runs as it is.
std::optional<NullCounts> survey_rotated(const OutlierBench& bench, const TrainedModel& trained);

// Channels planted in a model, and what the detector finds.
struct PlantedOutliers {
  std::vector<Index> planted, found;
  double kurtosis = 0;
  double loss = 0;  // as it is
  double zeroed_loss = 0,
         zeroed_loss_unplanted = 0;  // without the planted channels, and without the same ones before
};
std::optional<PlantedOutliers> plant_and_find(const OutlierBench& bench, const TrainedModel& trained);

// A run of the factors.
struct FactorRun {
  std::string variant;  // "sgd"
  std::int64_t seed;
  eval::OutlierRung rung;
};
std::optional<std::vector<FactorRun>> survey_factors(const OutlierBench& bench,
                                                     const std::vector<TrainedModel>& trained);

}  // namespace loglog::studies
