// Means over tokens that are not independent of each other.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/batcher.hpp"

namespace loglog::eval {

// A mean over tokens that come in clusters (windows of one block of text, which resemble each other). The standard error is that
// of a ratio of two sums over clusters (Cochran 1977, section 6.3):
//
//   mean = S / N,   se^2 = G / (G - 1) * sum_g (S_g - mean N_g)^2 / N^2       G clusters, S_g their sums, N_g their sizes
class ClusteredMean {
 public:
  // `sum` over `count` tokens of a cluster. Those of one cluster come one after the other.
  void add(std::uint64_t cluster, double sum, std::uint64_t count);

  std::uint64_t count() const { return count_; }
  std::size_t clusters() const { return clusters_.size(); }
  std::size_t clusters_with_tokens() const;
  double mean() const;            // NaN when empty
  double standard_error() const;  // NaN below two clusters

 private:
  friend std::vector<std::vector<double>> resampled_means(std::span<const ClusteredMean* const> models,
                                                          std::uint64_t resamples, std::uint64_t seed);
  struct Cluster {
    std::uint64_t number;
    double sum;
    std::uint64_t count;
  };
  std::vector<Cluster> clusters_;
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

// Which windows of a sample make a cluster: those of one block of the split or, where there are fewer than kFewBlocks, equal
// runs of windows, kRuns in all (batch means).
class Clusters {
 public:
  static constexpr std::size_t kFewBlocks = 16;
  static constexpr std::uint64_t kRuns = 32;
  explicit Clusters(const data::FixedSample& sample)
      : sample_(sample), by_block_(sample.blocks() >= kFewBlocks) {}

  std::uint64_t of(std::uint64_t window) const {
    return by_block_ ? sample_.block(window) : window * kRuns / sample_.windows();
  }

 private:
  const data::FixedSample& sample_;
  bool by_block_;
};

}  // namespace loglog::eval
