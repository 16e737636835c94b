// A local search for one number of a configuration, on runs of a share of its horizon.
//
// Values lie on a grid of one factor around the configuration's own, rounded to four digits or, of whole numbers, to the next, and kept
// inside the key's range: first it and its two neighbours, then one more on the side where the best is at the end, until the best lies
// between two others, there is no further value, or there are as many as allowed. The answer is the vertex of the parabola through the
// best and its neighbours, loss over log(value) (local search at 10% of the horizon: Porian et al. 2024 choose theirs on such a grid);
// at an end, or beside a run that diverged, the best value itself.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/trainer.hpp"

namespace loglog::train {

struct TuneOptions {
  std::string key = "train.lr";  // of tunable_keys()
  double factor = 2;             // between neighbours, above 1
  double share = 0.1;            // of the configuration's steps, in (0, 1]
  int points = 5;                // at most; at least 3
};

struct TunePoint {
  double value;
  double loss;  // on the validation sample; infinite where the run diverged
  Path out;     // its run
};

struct Tuned {
  std::vector<TunePoint> points;  // by value
  std::optional<double> value;    // the answer; none where every run diverged
  bool at_end;                    // the best is the lowest or highest that was tried
};

// Keys whose neighbours by a factor make sense, and which nothing else of a tuning run follows from.
std::span<const std::string_view> tunable_keys();

// The run that is tried: `value` in the key's place of a resolved configuration, and a share of the steps. What belongs to the key goes
// with it: min_lr in proportion to lr; with the batch its passes, and steps so that as many tokens are trained on. A warm-up in steps
// keeps its share of them.
model::RunConfig tuning_run(const model::RunConfig& resolved, const TuneOptions& tune, double value);

// Trains in options.out/KEY=VALUE; runs that are there and finished are not trained again. Nothing when stopped.
// Errors as train(); UsageError for options outside the ranges above, for a key that is 0 in the configuration, and for a factor so near
// to 1 that neighbours are one value.
std::optional<Tuned> tune(const model::RunConfig& config, const TuneOptions& tune,
                          const TrainOptions& options);

}  // namespace loglog::train
