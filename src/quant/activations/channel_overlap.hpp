// Whether layers have the same channels in common more than by chance.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "quant/activations/channel_sums.hpp"

namespace loglog::quant {

// Share of channels that two layers have in common: |A & B| / min(|A|, |B|), the mean over pairs of layers with some. The null: every
// layer has as many channels, each set of them as likely as any other. p = (1 + draws with at least this overlap) / (1 + draws); draws
// that are less by rounding alone have it.
struct ChannelOverlap {
  double observed = 0;  // NaN for fewer than two layers with channels
  double expected = 0;  // mean over the draws
  double p = 1;
  std::uint64_t draws = 0;        // that were made
  std::vector<double> null = {};  // overlap of each draw
};
// `layers`: channels of each, none twice, all below width. Depends on (seed, draws) and on nothing else; `stop` is asked before every
// draw, and ends them early.
ChannelOverlap channel_overlap(const std::vector<std::vector<Index>>& layers, Index width,
                               std::uint64_t draws, std::uint64_t seed,
                               const std::function<bool()>& stop = {});

// `count` channels of 0 .. width - 1 without those in `excluded` (ascending), each set as likely as any other; ascending. ContractError
// when there are not so many.
std::vector<Index> random_channels(Index width, const std::vector<Index>& excluded, Index count,
                                   std::uint64_t seed, std::uint64_t draw);

// For each layer, the `count` channels of the largest mean square, each hidden state of `sites` divided by its own mean. A channel
// without a finite number in a hidden state is 0 there.
std::vector<std::vector<Index>> top_by_layer(const ActivationSums& sums,
                                             const std::vector<std::string>& sites, Index count);
// The same over all layers together.
std::vector<Index> top_of_all(const ActivationSums& sums, const std::vector<std::string>& sites, Index count);

}  // namespace loglog::quant
