#include "quant/activations/channel_overlap.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "base/check.hpp"
#include "base/rng.hpp"

namespace loglog::quant {
namespace {

using Sets = std::vector<std::vector<Index>>;

// Sets are ascending.
double mean_overlap(const Sets& sets) {
  double sum = 0;
  std::size_t pairs = 0;
  std::vector<Index> common;
  for (std::size_t a = 0; a < sets.size(); ++a) {
    for (std::size_t b = a + 1; b < sets.size(); ++b) {
      const std::size_t smaller = std::min(sets[a].size(), sets[b].size());
      if (smaller == 0) continue;
      common.clear();
      std::ranges::set_intersection(sets[a], sets[b], std::back_inserter(common));
      sum += static_cast<double>(common.size()) / static_cast<double>(smaller);
      ++pairs;
    }
  }
  return pairs == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(pairs);
}

// Two means of the same n shares of at most 1, in another order, differ by less than n + 2 units of rounding.
double rounding_of(const Sets& sets) {
  const auto count = static_cast<double>(sets.size());
  return (count * (count - 1) / 2 + 2) * std::numeric_limits<double>::epsilon();
}

// `count` of n numbers, ascending (Floyd: Bentley & Floyd 1987); `drawn` counts the random numbers that were used.
std::vector<Index> some_of(Index n, Index count, const Rng& rng, std::uint64_t& drawn) {
  std::vector<Index> chosen;
  for (Index i = n - count; i < n; ++i) {
    const auto pick = static_cast<Index>(rng.below(drawn++, static_cast<std::uint64_t>(i) + 1));
    chosen.push_back(std::ranges::find(chosen, pick) == chosen.end() ? pick : i);
  }
  std::ranges::sort(chosen);
  return chosen;
}

using Scores = std::vector<double>;

// Of each layer: mean squares of the channels over their mean, all hidden states of `sites` together.
std::map<Index, Scores> layer_scores(const ActivationSums& sums, const std::vector<std::string>& sites) {
  std::map<Index, Scores> layers;
  for (const ActivationSums::Entry& entry : sums.entries()) {
    if (std::ranges::find(sites, entry.spot.site) == sites.end()) continue;
    const ChannelSums& spot = entry.sums;
    const double mean = spot.rms() * spot.rms();
    Scores& scores = layers.try_emplace(entry.spot.layer, Scores(spot.channels().size())).first->second;
    if (!(mean > 0)) continue;
    for (std::size_t j = 0; j < scores.size(); ++j)
      if (spot.channels()[j].finite > 0) scores[j] += spot.channels()[j].mean_square() / mean;
  }
  return layers;
}

// Ascending.
std::vector<Index> largest(const Scores& scores, Index count) {
  std::vector<Index> order(scores.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](Index j) { return scores[static_cast<std::size_t>(j)]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  std::ranges::sort(order);
  return order;
}

}  // namespace

ChannelOverlap channel_overlap(const Sets& layers, Index width, std::uint64_t draws, std::uint64_t seed,
                               const std::function<bool()>& stop) {
  Sets sets = layers;
  for (std::vector<Index>& set : sets) std::ranges::sort(set);
  ChannelOverlap result{mean_overlap(sets)};
  const double as_large_as = result.observed - rounding_of(sets);
  std::uint64_t as_large = 0;
  for (; result.draws < draws && !(stop && stop()); ++result.draws) {
    const Rng rng(seed, result.draws);
    std::uint64_t drawn = 0;
    for (std::size_t i = 0; i < sets.size(); ++i)
      sets[i] = some_of(width, static_cast<Index>(layers[i].size()), rng, drawn);
    const double overlap = mean_overlap(sets);
    result.expected += overlap;
    result.null.push_back(overlap);
    as_large += overlap >= as_large_as;
  }
  result.expected /= static_cast<double>(result.draws);
  result.p = static_cast<double>(1 + as_large) / static_cast<double>(1 + result.draws);
  if (!(result.observed == result.observed)) result.p = result.observed;
  return result;
}

std::vector<Index> random_channels(Index width, const std::vector<Index>& excluded, Index count,
                                   std::uint64_t seed, std::uint64_t draw) {
  std::vector<Index> left;
  for (Index j = 0; j < width; ++j)
    if (!std::ranges::binary_search(excluded, j)) left.push_back(j);
  LOGLOG_CHECK(count >= 0 && count <= static_cast<Index>(left.size()), "{} of {} channels", count,
               left.size());
  std::uint64_t drawn = 0;
  std::vector<Index> chosen = some_of(static_cast<Index>(left.size()), count, Rng(seed, draw), drawn);
  for (Index& j : chosen) j = left[static_cast<std::size_t>(j)];
  return chosen;
}

Sets top_by_layer(const ActivationSums& sums, const std::vector<std::string>& sites, Index count) {
  Sets tops;
  for (const auto& [layer, scores] : layer_scores(sums, sites)) tops.push_back(largest(scores, count));
  return tops;
}

std::vector<Index> top_of_all(const ActivationSums& sums, const std::vector<std::string>& sites,
                              Index count) {
  Scores all;
  for (const auto& [layer, scores] : layer_scores(sums, sites)) {
    all.resize(scores.size());
    for (std::size_t j = 0; j < scores.size(); ++j) all[j] += scores[j];
  }
  return largest(all, count);
}

}  // namespace loglog::quant
