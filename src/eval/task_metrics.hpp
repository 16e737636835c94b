// Numbers that say how well questions were answered, each a mean over items with a 95% interval.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/score_tasks.hpp"

namespace loglog::eval {

struct Metric {
  std::string name;
  double value;
  double low, high;  // NaN for a single item
};

// Multiple choice                                   Exact match
//   accuracy            highest log-probability       exact_match     the greedy tokens are the target's
//   accuracy_per_byte   the same per byte of text     edit_distance   Levenshtein, of tokens
//   chance              of a guess                    edit_share      the same over the target's length
//   probability         softmax over the choices      token_probability   mean of the target's tokens
//   brier, rank, calibration_error
// Both: log_prob, log_prob_per_token, log_prob_per_byte of the right answer, in nats. What is per byte is left out where tokens
// stand for no text.
//
// Intervals are percentiles of `resamples` bootstrap samples of items (Efron 1979); they depend on the seed alone.
std::vector<Metric> task_metrics(std::span<const ItemScore> items, TaskKind kind, std::uint64_t seed = 1,
                                 int resamples = 1000);

// Sum over the choices of (p - 1[right])^2 (Brier 1950).
double brier_score(std::span<const double> probabilities, std::size_t right);

// Expected calibration error in ten bins of equal width (Guo et al. 2017): how far the share of right answers is from the
// confidence in them.
struct Answer {
  double confidence;  // probability of the chosen one
  bool right;
};
double calibration_error(std::span<const Answer> answers);

// The least insertions, deletions and substitutions that turn one into the other.
std::size_t edit_distance(std::span<const Token> a, std::span<const Token> b);

}  // namespace loglog::eval
