// What to do with an amount of compute, by a fitted law, and how sure that is.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fit/allocation/fitted_law.hpp"
#include "fit/allocation/frontier.hpp"

namespace loglog::fit {

struct AllocateOptions {
  std::vector<double> flops;  // amounts of compute
  double within = 1e-3;       // of the best loss: sizes that are as good
  std::vector<double>
      sizes;  // whose misallocation is asked for; empty: a quarter, half, twice, four times the best
  TokenCost cost = TokenCost("6*N");
};

// A model of another size than the best: which share of C more it takes to reach the best loss of C.
struct Misallocation {
  double N = 0;
  double loss = 0;   // at C
  Interval compute;  // that reaches the best loss, over C; infinite where no compute does
};

struct AllocationAt {
  double C = 0;
  Interval N, D, ratio, loss;  // ratio: D / N
  Frontier::Range indifferent{};
  std::vector<Misallocation> others;
};
// UsageError for a law that has no optimum, or none at one of the amounts.
std::vector<AllocationAt> allocate(const FittedLaw& fitted, const AllocateOptions& options);

// By which factor of compute recipe `ours` is ahead of `theirs`: what theirs takes to reach the loss that ours has at C, over C. The two fits
// are independent; their intervals are put together by squares, each side for itself (Zou and Donner 2008).
struct EffectiveCompute {
  double C = 0;
  double loss = 0;      // ours at C
  Interval multiplier;  // infinite where theirs never gets there
};
std::vector<EffectiveCompute> effective_compute(const FittedLaw& ours, const FittedLaw& theirs,
                                                const AllocateOptions& options);

nlohmann::ordered_json allocation_json(const FittedLaw& fitted, const std::vector<AllocationAt>& list,
                                       const std::vector<EffectiveCompute>& against, double within);
std::string allocation_text(const FittedLaw& fitted, const std::vector<AllocationAt>& list,
                            const std::vector<EffectiveCompute>& against, double within);

}  // namespace loglog::fit
