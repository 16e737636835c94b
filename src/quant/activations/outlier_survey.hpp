// Everything that is asked of activations alone: sums, the criterion at several magnitudes, what layers have in common.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "quant/activations/channel_overlap.hpp"
#include "quant/activations/channel_sums.hpp"
#include "quant/activations/threshold_counts.hpp"

namespace loglog::quant {

struct SurveySettings {
  std::vector<std::string> sites = {"qkv", "up"};  // that count for the criterion
  std::vector<double> magnitudes = {6};            // the first says what an outlier is
  double relative = 6;  // times the median RMS of a hidden state's channels; 0: not asked
  OutlierRule rule;
  Index top = 6;                       // channels that stand for a layer where no criterion chooses
  std::uint64_t permutations = 10000;  // of the null
  std::uint64_t seed = 1;
};

struct Criterion {
  double magnitude;
  bool is_relative;
  std::unique_ptr<ThresholdCounts> counts;
  OutlierVerdict verdict = {};
};

struct OutlierSurvey {
  std::vector<std::string> sites;  // that count, of those asked for: a model without MLP has no up
  ActivationSums sums;
  std::vector<Criterion> criteria;       // the relative one last
  std::vector<std::vector<Index>> tops;  // of each layer, ascending
  ChannelOverlap overlap;                // of these

  std::vector<Index> outliers() const;  // by the first criterion, ascending
  // Means over the hidden states of these sites, NaN for none; all scale-free.
  double kurtosis(const std::vector<std::string>& of) const;
  double max_to_median(const std::vector<std::string>& of) const;
};

// Gives all activations to the sinks, the same ones in every call; false when it was told to stop.
using ActivationSource = std::function<bool(const std::vector<ActivationSink*>&)>;

// Goes through the activations once, and once more for the relative threshold, which has to know them. Nothing when it was stopped;
// `stop` is asked while the null of the overlap is drawn.
// ContractError when the activations have none of the sites.
std::optional<OutlierSurvey> survey(const ActivationSource& source, const SurveySettings& settings,
                                    const std::function<bool()>& stop = {});

// Massive activations are values above 100 and at least 1,000 times the median magnitude of their hidden state: Sun, Chen, Kolter & Liu
// 2024, section 2.
inline constexpr double kMassive = 100, kMassiveRatio = 1000;
// The channels of a hidden state whose largest value is one, the largest first.
std::vector<Index> massive_channels(const ChannelSums& sums);

}  // namespace loglog::quant
