// What a model loses more than another one on the same text: the difference of their losses, and how certain it is.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "eval/clustered_mean.hpp"

namespace loglog::eval {

// Means (resamples, models) in bootstrap samples of whole clusters, each drawn for all models at once (paired): whatever is computed
// of a row is a draw of its sampling distribution. Efron and Tibshirani 1993, section 8.3. ContractError unless all have the same
// clusters with the same counts.
std::vector<std::vector<double>> resampled_means(std::span<const ClusteredMean* const> models,
                                                 std::uint64_t resamples, std::uint64_t seed);

// Mean of a minus mean of b, nats per token, with a 95% interval: percentiles of kResamples of such samples (section 13.3).
struct PairedDifference {
  double mean = 0;
  double low = 0, high = 0;  // NaN below two clusters that have tokens, or where the mean is not finite

  static constexpr std::uint64_t kResamples = 10'000;
};
// The same of the sum of what each of `models` loses more than b: of several changes, what they would cost if they added up. 0 of none.
PairedDifference summed_difference(std::span<const ClusteredMean* const> models, const ClusteredMean& b,
                                   std::uint64_t seed);
// Not finite where a sum is not.
PairedDifference paired_difference(const ClusteredMean& a, const ClusteredMean& b, std::uint64_t seed);

}  // namespace loglog::eval
