// Resampling: which rows, how often, and what interval the resampled numbers give.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace loglog::fit {

// How often each row appears in resample `index`: clusters drawn with replacement, all rows of a cluster
// together. With one row per cluster this is the pair bootstrap. Depends on (seed, index) alone, so any
// thread may make it.
std::vector<double> resample_counts(std::span<const int> cluster, int clusters, std::uint64_t seed,
                                    std::uint64_t index);

// The p quantile of what `values` were drawn from, at position p (n + 1) in their order (type 6): a further draw falls below it with chance p. Type
// 7, which describes the values themselves, makes an interval from 200 of them cover 94.1% for 95%. Between least and largest.
double drawn_quantile(const std::vector<double>& values, double p);

// Ends of the 95% interval from resampled values: percentiles at the level Phi(-t) in place of 0.025. t
// is 1.96 for plenty of data and larger for little, since plain percentiles are too narrow by the missing
// degrees of freedom
// ("expanded percentile", Hesterberg 2015, section 4.1). NaN for fewer than two values or a t that is not finite.
struct Ends {
  double low;
  double high;
};
Ends expanded_percentiles(const std::vector<double>& values, double t);

// t for the pair bootstrap of n units and p parameters, sqrt(n / (n - p)) * t_{0.975, n - p}; NaN when n <= p.
double pair_bootstrap_t(int n, int parameters);

}  // namespace loglog::fit
