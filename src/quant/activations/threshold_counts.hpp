// How often channels reach a magnitude, in which hidden states and at how many positions: what an outlier feature is by Dettmers, Lewis,
// Belkada & Zettlemoyer 2022, "LLM.int8()", section 4.
//
// A channel is one when it reaches the magnitude (6) at least once in at least 25% of the layers, and at 6% of the positions or more in at
// least one of the hidden states that count: the inputs of the attention projections and of the first product of the MLP. (The paper's
// "6% of all sequence dimensions across all hidden states" could be a share of pairs too; but its 150,000 values in six channels of
// a sequence of 2,048, at 75% of the positions and in all of 32 layers, are fewer than such a share would give. That share is told besides.)
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "quant/activations/spot.hpp"

namespace loglog::quant {

struct Hits {
  std::uint64_t finite = 0;    // values at all
  std::uint64_t values = 0;    // of this magnitude or more
  std::uint64_t positive = 0;  // of these
};

struct SpotHits {
  Spot spot;
  bool counts;       // for the criterion
  double threshold;  // here
  std::vector<Hits> channels;
};

// Finite numbers are counted, and those of at least `threshold(spot)`. Bits depend neither on threads nor on how the rows come.
class ThresholdCounts final : public ActivationSink {
 public:
  using ThresholdOf = std::function<double(const Spot&)>;
  // `sites` count for the criterion; they have the same channels.
  ThresholdCounts(std::vector<std::string> sites, ThresholdOf threshold);

  // ContractError when spots that count differ in their channels.
  void add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t first, int threads) override;
  void end_rows(Index rows) override;

  const std::vector<SpotHits>& spots() const { return spots_; }
  const SpotHits* find(const Spot& spot) const;  // null: never seen
  std::uint64_t rows() const { return rows_; }
  // Positions at which a channel has it in at least one of the spots that count; and at which it is finite in one.
  const std::vector<std::uint64_t>& positions() const { return positions_; }
  const std::vector<std::uint64_t>& finite_positions() const { return finite_positions_; }

 private:
  SpotHits& hits_of(const Spot& spot, Index width);

  std::vector<std::string> sites_;
  ThresholdOf threshold_;
  std::vector<SpotHits> spots_;
  std::map<Spot, std::size_t> index_;
  std::vector<std::uint64_t> positions_, finite_positions_;
  std::vector<unsigned char> seen_;  // (rows since end_rows, channels) of the spots that count
  std::uint64_t rows_ = 0;
};

// What has to hold of a channel.
struct OutlierRule {
  double layer_share = 0.25;
  double position_share = 0.06;
};

// All shares are of what is finite.
struct OutlierChannel {
  Index channel;
  double layer_share;      // of the layers, that have it at least once
  double position_share;   // of the positions, that have it in at least one hidden state
  double value_share;      // of pairs of hidden state and position
  double values_per_2048;  // positions, all hidden states together
  double sign_purity;      // share of the more frequent sign
  bool positive;           // which that is
  std::vector<Index> layers;
};

struct OutlierVerdict {
  std::vector<OutlierChannel> outliers;        // by channel
  Index reached = 0;                           // channels that reach it at all
  double layer_share = 0, position_share = 0;  // means over the outliers
  double values_per_2048 = 0;                  // of all outliers together
  double sign_purity = 0;                      // of all their values
};
// NaN for means and shares of nothing.
OutlierVerdict judge(const ThresholdCounts& counts, const OutlierRule& rule);

}  // namespace loglog::quant
