// What a night trains: an IsoFLOP sweep that a law is fitted to, and a few dearer runs that it foretells.
//
// Everything follows from the hours, the length of the text and the measured rate: the largest budget whose whole night fits the hours
// and none of whose runs sees a text twice.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "night/ladder.hpp"

namespace loglog::night {

// Training tokens per second of a size with one processor, while its like train on the others.
struct Rate {
  double N = 0, tokens_per_s = 0;
};

struct Given {
  double seconds = 0;  // for everything
  int processors = 1;
  model::Index vocab = 256, context = 64;
  double train_tokens = 0;  // of the text, in one epoch
  double most_validation_tokens = 0;
  std::vector<Rate> rates;  // by N, ascending
  std::function<double(double N, double D)>
      loss;  // of the law before anything is fitted: where the best sizes are looked for
};

struct Budget {
  double flops = 0;
  std::vector<std::string> sizes;
};

struct NightPlan {
  std::vector<Budget> budgets;  // of the sweep that is fitted, ascending
  int repeated = 0;             // of these, how many get two seeds: the cheapest
  std::vector<double> far;      // FLOPs of the runs that are foretold
  double eval_tokens = 0;
  double tuning_seconds = 0, noise_seconds = 0, sweep_seconds = 0, far_seconds = 0;  // on the clock
  std::string limit;  // what keeps the night from being larger: "hours" or "text"
  double seconds() const { return tuning_seconds + noise_seconds + sweep_seconds + far_seconds; }
};

inline constexpr double kTuningShare = 0.1;       // of a run's horizon, for a learning rate that is tried
inline constexpr double kRates[] = {0.5, 1, 2};   // factors of the rule's learning rate
inline constexpr int kNoiseSeeds = 4;             // of each size that noise is measured at
inline constexpr double kFarTimes[] = {2, 4, 8};  // of the dearest budget that is fitted

// RefusedError where hours or text do not suffice for the least night, with what would.
NightPlan plan_night(const Given& given);

// The context for so many hours: what longer windows would tell is not worth its price in a short night.
model::Index context_for(double hours);

// Of the ladder, the size of least loss for these FLOPs.
std::size_t best_rung(const std::vector<Rung>& ladder, double flops,
                      const std::function<double(double N, double D)>& loss);

// Between measured sizes, and beyond them, along a straight line of logarithms.
double rate_at(const std::vector<Rate>& rates, double N);

}  // namespace loglog::night
