// What a model loses more than another one on the same text: the difference of their losses, and how certain it is.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace loglog::eval {

// Sums of losses over clusters of tokens that resemble each other (Clusters in breakdown.hpp).
class ClusterLosses {
 public:
  // As ClusteredMean::add.
  void add(std::uint64_t cluster, double sum, std::uint64_t count);
  std::size_t clusters() const { return clusters_.size(); }
  std::size_t clusters_with_tokens() const;
  std::uint64_t count() const;
  double mean() const;  // nats per token; NaN when empty

 private:
  friend std::vector<std::vector<double>> resampled_means(std::span<const ClusterLosses* const> models,
                                                          std::uint64_t resamples, std::uint64_t seed);
  struct Cluster {
    std::uint64_t number;
    double sum;
    std::uint64_t count;
  };
  std::vector<Cluster> clusters_;
};

// Means (resamples, models) in bootstrap samples of whole clusters, each drawn for all models at once (paired): whatever is computed
// of a row is a draw of its sampling distribution. Efron and Tibshirani 1993, section 8.3. ContractError unless all have the same
// clusters with the same counts.
std::vector<std::vector<double>> resampled_means(std::span<const ClusterLosses* const> models,
                                                 std::uint64_t resamples, std::uint64_t seed);

// Mean of a minus mean of b, nats per token, with a 95% interval: percentiles of kResamples of such samples (section 13.3).
struct PairedDifference {
  double mean = 0;
  double low = 0, high = 0;  // NaN below two clusters that have tokens, or where the mean is not finite

  static constexpr std::uint64_t kResamples = 10'000;
};
// Not finite where a sum is not.
PairedDifference paired_difference(const ClusterLosses& a, const ClusterLosses& b, std::uint64_t seed);

}  // namespace loglog::eval
