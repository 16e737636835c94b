// What the channels of each hidden state do, over all positions of a text.
//
// Sums are made in double, channel by channel in the order of the rows, so that neither the number of threads nor how many rows come at
// once changes a bit. Numbers that are not finite are counted and are in no other number: means are over the finite ones.
//
// Sources: He, Noci, Paliotta, Schlag & Hofmann 2024, "Understanding and Minimising Outlier Features in Neural Network Training", section
// 2: with s_j the root mean square of channel j,
//   kurtosis = mean_j(s_j^4) / mean_j(s_j^2)^2        1 where all channels are alike, the width where one does everything
//   max/median = mean over positions of max_j |x_j| / median_j |x_j|
// over the channels, or the channels of a position, that have a finite number.
#pragma once
#include <limits>
#include <map>
#include <vector>

#include "quant/activations/magnitude_histogram.hpp"
#include "quant/activations/spot.hpp"

namespace loglog::quant {

struct Channel {
  std::uint64_t finite = 0;  // numbers, which the rest is of
  double sum = 0, squares = 0;
  float lowest = std::numeric_limits<float>::infinity(), highest = -lowest;
  float largest = 0;  // by magnitude, the first of equals
  std::uint64_t largest_row = 0;

  double mean_square() const { return squares / static_cast<double>(finite); }  // NaN without numbers
};

// Of one spot.
class ChannelSums {
 public:
  explicit ChannelSums(Index width) : channels_(static_cast<std::size_t>(width)) {}

  // ContractError for another width. `scratch` holds a histogram for each thread.
  void add(kernels::ConstMatrixRef values, std::uint64_t first, int threads,
           std::vector<MagnitudeHistogram>& scratch);

  Index width() const { return static_cast<Index>(channels_.size()); }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t nonfinite() const;
  const std::vector<Channel>& channels() const { return channels_; }

  double mean_square(Index channel) const {
    return channels_[static_cast<std::size_t>(channel)].mean_square();
  }
  double rms() const;               // root of the mean over channels of their mean squares
  double median_rms() const;        // over channels
  double median_magnitude() const;  // of all numbers, within 1/128 (magnitude_histogram.hpp)
  double kurtosis() const;          // NaN where all is zero
  double max_to_median() const;     // NaN where the median of every row is zero
  Index largest() const;            // channel of the largest magnitude, the first of equals
  // The channels of the largest mean square, the largest first, the first of equals; at most `count`, and such as have numbers.
  std::vector<Index> top(Index count) const;

 private:
  void add_column(kernels::ConstMatrixRef values, std::uint64_t first, Index column,
                  MagnitudeHistogram& histogram);
  std::vector<double> mean_squares() const;  // of the channels that have numbers

  std::vector<Channel> channels_;
  MagnitudeHistogram magnitudes_;
  std::uint64_t rows_ = 0;
  double ratios_ = 0;             // sum of max/median
  std::uint64_t ratio_rows_ = 0;  // that have one
};

// Of every spot, in the order in which they came.
class ActivationSums final : public ActivationSink {
 public:
  struct Entry {
    Spot spot;
    ChannelSums sums;
  };
  void add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t first, int threads) override;
  const std::vector<Entry>& entries() const { return entries_; }
  const ChannelSums* find(const Spot& spot) const;  // null: never seen
  std::uint64_t nonfinite() const;                  // of all

 private:
  std::vector<Entry> entries_;
  std::map<Spot, std::size_t> index_;
  std::vector<MagnitudeHistogram> scratch_;
};

}  // namespace loglog::quant
