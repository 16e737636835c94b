#include "quant/activations/threshold_counts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/check.hpp"
#include "kernels/parallel.hpp"

namespace loglog::quant {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr Index kColumns = 64;                      // of a task: a cache line of `seen`
constexpr unsigned char kFinite = 1, kReached = 2;  // bits of `seen`

double share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? kNaN : static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

ThresholdCounts::ThresholdCounts(std::vector<std::string> sites, ThresholdOf threshold)
    : sites_(std::move(sites)), threshold_(std::move(threshold)) {}

SpotHits& ThresholdCounts::hits_of(const Spot& spot, Index width) {
  const auto [at, is_new] = index_.try_emplace(spot, spots_.size());
  if (is_new) {
    const bool counts = std::ranges::find(sites_, spot.site) != sites_.end();
    spots_.push_back({spot, counts, threshold_(spot), std::vector<Hits>(static_cast<std::size_t>(width))});
    if (counts && positions_.empty()) {
      positions_.resize(static_cast<std::size_t>(width));
      finite_positions_ = positions_;
    }
    LOGLOG_CHECK(!counts || positions_.size() == static_cast<std::size_t>(width), "{} {} has {} channels",
                 spot.site, spot.layer, width);
  }
  return spots_[at->second];
}

void ThresholdCounts::add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t, int threads) {
  SpotHits& hits = hits_of(spot, values.cols);
  const auto width = static_cast<std::size_t>(values.cols);
  LOGLOG_CHECK(hits.channels.size() == width, "{} channels after {}", width, hits.channels.size());
  if (hits.counts) seen_.resize(std::max(seen_.size(), static_cast<std::size_t>(values.rows) * width));
  kernels::parallel_tasks(threads, kernels::ceil_div(values.cols, kColumns), [&](Index task, int) {
    const Index end = std::min(values.cols, (task + 1) * kColumns);
    for (Index r = 0; r < values.rows; ++r) {
      for (Index j = task * kColumns; j < end; ++j) {
        const float x = values.data[r * values.row_stride + j];
        if (!std::isfinite(x)) continue;
        const bool reached = double(std::abs(x)) >= hits.threshold;
        Hits& channel = hits.channels[static_cast<std::size_t>(j)];
        ++channel.finite;
        channel.values += reached;
        channel.positive += reached && x > 0;
        if (hits.counts)
          seen_[static_cast<std::size_t>(r) * width + static_cast<std::size_t>(j)] |=
              reached ? kFinite | kReached : kFinite;
      }
    }
  });
}

void ThresholdCounts::end_rows(Index rows) {
  const std::size_t width = positions_.size();
  for (std::size_t i = 0; i < seen_.size(); i += width)
    for (std::size_t j = 0; j < width; ++j) {
      finite_positions_[j] += (seen_[i + j] & kFinite) != 0;
      positions_[j] += (seen_[i + j] & kReached) != 0;
    }
  seen_.assign(seen_.size(), 0);
  rows_ += static_cast<std::uint64_t>(rows);
}

const SpotHits* ThresholdCounts::find(const Spot& spot) const {
  const auto at = index_.find(spot);
  return at == index_.end() ? nullptr : &spots_[at->second];
}

namespace {

// All that is known of channel j; its layers are those of the spots that reach it.
OutlierChannel describe(const ThresholdCounts& counts, std::size_t j) {
  std::set<Index> layers, reached;
  Hits all;
  std::uint64_t spots = 0;
  for (const SpotHits& spot : counts.spots()) {
    if (!spot.counts) continue;
    const Hits& here = spot.channels[j];
    if (here.finite == 0) continue;
    ++spots;
    all.finite += here.finite;
    all.values += here.values;
    all.positive += here.positive;
    layers.insert(spot.spot.layer);
    if (here.values > 0) reached.insert(spot.spot.layer);
  }
  const double positive = share(all.positive, all.values);
  return {static_cast<Index>(j),
          share(reached.size(), layers.size()),
          share(counts.positions()[j], counts.finite_positions()[j]),
          share(all.values, all.finite),
          2048 * share(all.values * spots, all.finite),
          std::max(positive, 1 - positive),
          positive >= 0.5,
          {reached.begin(), reached.end()}};
}

}  // namespace

OutlierVerdict judge(const ThresholdCounts& counts, const OutlierRule& rule) {
  OutlierVerdict verdict;
  double pure_values = 0;
  for (std::size_t j = 0; j < counts.positions().size(); ++j) {
    OutlierChannel c = describe(counts, j);
    verdict.reached += !c.layers.empty();
    if (c.layers.empty() || c.layer_share < rule.layer_share || c.position_share < rule.position_share)
      continue;
    verdict.layer_share += c.layer_share;
    verdict.position_share += c.position_share;
    verdict.values_per_2048 += c.values_per_2048;
    pure_values += c.sign_purity * c.values_per_2048;
    verdict.outliers.push_back(std::move(c));
  }
  const auto n = static_cast<double>(verdict.outliers.size());  // 0 / 0 for none
  verdict.layer_share /= n;
  verdict.position_share /= n;
  verdict.sign_purity = pure_values / verdict.values_per_2048;
  return verdict;
}

}  // namespace loglog::quant
