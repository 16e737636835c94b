#include "quant/activations/outlier_survey.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.hpp"

namespace loglog::quant {
namespace {

template <class Value>
double mean_over(const ActivationSums& sums, const std::vector<std::string>& sites, Value value) {
  double sum = 0;
  std::size_t count = 0;
  for (const ActivationSums::Entry& entry : sums.entries()) {
    if (std::ranges::find(sites, entry.spot.site) == sites.end()) continue;
    const double x = value(entry.sums);
    if (std::isnan(x)) continue;
    sum += x;
    ++count;
  }
  return count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
}

// Of every hidden state; one of zeros reaches nothing.
ThresholdCounts::ThresholdOf relative_thresholds(const ActivationSums& sums, double multiple) {
  std::map<Spot, double> thresholds;
  for (const ActivationSums::Entry& entry : sums.entries()) {
    const double median = entry.sums.median_rms();
    thresholds[entry.spot] = median > 0 ? multiple * median : std::numeric_limits<double>::infinity();
  }
  return [thresholds](const Spot& spot) {
    const auto at = thresholds.find(spot);
    LOGLOG_CHECK(at != thresholds.end(), "{} {} was not in the first pass", spot.site, spot.layer);
    return at->second;
  };
}

std::vector<std::string> sites_of(const ActivationSums& sums, const std::vector<std::string>& asked) {
  std::vector<std::string> sites;
  for (const std::string& site : asked)
    if (std::ranges::any_of(sums.entries(), [&](const auto& entry) { return entry.spot.site == site; }))
      sites.push_back(site);
  return sites;
}

}  // namespace

std::vector<Index> OutlierSurvey::outliers() const {
  std::vector<Index> channels;
  for (const OutlierChannel& c : criteria.front().verdict.outliers) channels.push_back(c.channel);
  return channels;
}

double OutlierSurvey::kurtosis(const std::vector<std::string>& of) const {
  return mean_over(sums, of, [](const ChannelSums& s) { return s.kurtosis(); });
}

double OutlierSurvey::max_to_median(const std::vector<std::string>& of) const {
  return mean_over(sums, of, [](const ChannelSums& s) { return s.max_to_median(); });
}

std::optional<OutlierSurvey> survey(const ActivationSource& source, const SurveySettings& settings,
                                    const std::function<bool()>& stop) {
  OutlierSurvey result;
  std::vector<ActivationSink*> sinks = {&result.sums};
  for (const double magnitude : settings.magnitudes) {
    result.criteria.push_back(
        {magnitude, false,
         std::make_unique<ThresholdCounts>(settings.sites, [magnitude](const Spot&) { return magnitude; })});
    sinks.push_back(result.criteria.back().counts.get());
  }
  if (!source(sinks)) return std::nullopt;
  LOGLOG_CHECK(!result.criteria.front().counts->positions().empty(), "no activations of these sites");
  if (settings.relative > 0) {
    auto counts = std::make_unique<ThresholdCounts>(settings.sites,
                                                    relative_thresholds(result.sums, settings.relative));
    if (!source({counts.get()})) return std::nullopt;
    result.criteria.push_back({settings.relative, true, std::move(counts)});
  }
  result.sites = sites_of(result.sums, settings.sites);
  for (Criterion& c : result.criteria) c.verdict = judge(*c.counts, settings.rule);
  result.tops = top_by_layer(result.sums, settings.sites, settings.top);
  const auto width = static_cast<Index>(result.criteria.front().counts->positions().size());
  result.overlap = channel_overlap(result.tops, width, settings.permutations, settings.seed, stop);
  if (result.overlap.draws < settings.permutations) return std::nullopt;
  return result;
}

std::vector<Index> massive_channels(const ChannelSums& sums) {
  const double least = kMassiveRatio * sums.median_magnitude();
  std::vector<Index> channels;
  for (Index j = 0; j < sums.width(); ++j) {
    const double largest = std::abs(double(sums.channels()[static_cast<std::size_t>(j)].largest));
    if (largest > kMassive && largest >= least) channels.push_back(j);
  }
  std::ranges::stable_sort(channels, std::greater<>(), [&](Index j) {
    return std::abs(sums.channels()[static_cast<std::size_t>(j)].largest);
  });
  return channels;
}

}  // namespace loglog::quant
