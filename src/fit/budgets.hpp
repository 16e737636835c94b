// Rows of an IsoFLOP design, grouped by compute.
#pragma once
#include <vector>

#include "fit/noise.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

inline constexpr double kBudgetTolerance =
    0.05;  // realised compute of one budget differs by rounding of steps and sizes

struct BudgetPoints {
  double C = 0;               // geometric mean
  std::vector<double> log_N;  // ascending
  std::vector<double> log_D;
  std::vector<double> loss;
  std::vector<double> weight;
  std::vector<double> seed;                // empty where none is known
  int sizes() const;                       // distinct N
  int sizes_below(double log_size) const;  // of these, how many are smaller
};

// Rows of one budget (column `budget`; without it, C that differ by less than the tolerance), ascending. `runs` holds N, D,
// C.
std::vector<BudgetPoints> group_budgets(const Runs& runs);

// Losses that repeat but for the seed.
struct Replicates {
  std::vector<Replicate> losses;
  int other_cells = 0;  // of equal budget, N and seed: those runs differ in something else, and are left out
};
Replicates replicates_of(const std::vector<BudgetPoints>& budgets);

}  // namespace loglog::fit
