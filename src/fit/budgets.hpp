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
  int sizes() const;                       // distinct N
  int sizes_below(double log_size) const;  // of these, how many are smaller
};

// Rows whose budget (column `budget`, else C) differs by less than the tolerance, ascending. `runs` holds N, D, C.
std::vector<BudgetPoints> group_budgets(const Runs& runs);
std::vector<Replicate> replicates_of(const std::vector<BudgetPoints>& budgets);

}  // namespace loglog::fit
