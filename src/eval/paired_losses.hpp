// What a model loses more than another one on the same text: the difference of their losses, and how certain it is.
#pragma once
#include <cstdint>
#include <vector>

namespace loglog::eval {

// Sums of losses over clusters of tokens that resemble each other (Clusters in breakdown.hpp).
class ClusterLosses {
 public:
  // As ClusteredMean::add.
  void add(std::uint64_t cluster, double sum, std::uint64_t count);
  std::size_t clusters() const { return clusters_.size(); }
  std::uint64_t count() const;
  double mean() const;  // nats per token; NaN when empty

 private:
  friend struct PairedDifference paired_difference(const ClusterLosses& a, const ClusterLosses& b,
                                                   std::uint64_t seed);
  struct Cluster {
    std::uint64_t number;
    double sum;
    std::uint64_t count;
  };
  std::vector<Cluster> clusters_;
};

// Mean of a minus mean of b, nats per token, with a 95% interval: percentiles of kResamples bootstrap samples of whole clusters, each
// drawn for both models at once (paired). Efron and Tibshirani 1993, sections 8.3 and 13.3.
struct PairedDifference {
  double mean = 0;
  double low = 0, high = 0;  // NaN below two clusters that have tokens, or where the mean is not finite

  static constexpr std::uint64_t kResamples = 10'000;
};
// ContractError unless both have the same clusters with the same counts. Not finite where a sum is not.
PairedDifference paired_difference(const ClusterLosses& a, const ClusterLosses& b, std::uint64_t seed);

}  // namespace loglog::eval
