// The sweep files of a night, as people write them.
#pragma once
#include <string>
#include <vector>

#include "night/night_plan.hpp"

namespace loglog::night {

// What all sweeps of a night share: the ladder, the rules, the text.
std::string base_file(const std::vector<Rung>& ladder, model::Index context, double eval_tokens);

// Runs of a sweep file: sizes for each budget.
struct SweepRuns {
  std::string name, why;
  std::vector<Budget> budgets;
  std::string seeds = "1";    // a rule
  double rate = 1;            // factor of the rule's learning rate
  std::vector<double> rates;  // tried one by one; empty: `rate`
};
std::string sweep_file(const SweepRuns& runs);

}  // namespace loglog::night
