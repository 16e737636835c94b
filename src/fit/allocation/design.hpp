// Which run to do next, so that the loss at a target is better known for what it costs.
//
// Each candidate is judged by how far the variance of the law's prediction at the target falls once it has been run and the law fitted again,
// under noise and discrepancy (fit/discrepancy.hpp). Without a discrepancy the answer is a trap: the law is taken at its word
// everywhere, and the cheapest run of all seems to teach most per FLOP, where the law is known to be wrong. A trust region keeps candidates near
// what has been run: no cheaper and no smaller than the data by more than a factor, no farther than the target on the other side.
#pragma once
#include <limits>
#include <string>
#include <vector>

#include "fit/allocation/fitted_law.hpp"
#include "fit/allocation/frontier.hpp"
#include "fit/discrepancy.hpp"

namespace loglog::fit {

struct Place2 {
  double N = 0, D = 0;
};

struct DesignOptions {
  Place2 target;
  std::vector<Place2> candidates;  // empty: 11 sizes x 6 ratios D / N over the trust region
  double trust = 2;                // factor beyond the data in N, D, D / N and C; infinite: no trust region
  double budget = INFINITY;        // FLOPs for all runs together
  int most_runs = 20;              // of a plan
  TokenCost cost = TokenCost("6*N");
  std::optional<double>
      tau;  // of the discrepancy; empty: from the residuals; 0: the law is taken at its word
};

struct CandidateRun {
  Place2 place;
  double flops = 0;
  double reduction = 0;  // share of the variance at the target that goes; negative where the run does harm
  double per_flop = 0;   // reduction / flops
  std::string outside;   // why it is not to be trusted; empty: it is
};
struct Design {
  Discrepancy discrepancy;
  Interval target;                       // loss there, 95% of the law under noise and discrepancy
  std::vector<CandidateRun> candidates;  // trusted and affordable ones by reduction per FLOP, then the others
  // What the budget buys, one run after the other, most_runs at most; each one's reduction is what it adds. Runs that add less than a hundredth of
  // the whole are left out. Empty without a budget.
  std::vector<CandidateRun> plan;
  double plan_reduction = 0;
};
// UsageError for a law that is not of N and D; RefusedError where no candidate is inside the trust region.
Design design_runs(const FittedLaw& fitted, const DesignOptions& options);

nlohmann::ordered_json design_json(const FittedLaw& fitted, const Design& design,
                                   const DesignOptions& options);
std::string design_text(const FittedLaw& fitted, const Design& design, const DesignOptions& options);

}  // namespace loglog::fit
