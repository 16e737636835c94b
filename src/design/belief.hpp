// What is taken to be true of losses when runs are designed: a law that was fitted, or one that is stated.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "fit/allocation/expected_interval.hpp"
#include "fit/allocation/fitted_law.hpp"
#include "sweep/grid.hpp"

namespace loglog::design {

struct Belief {
  std::shared_ptr<const fit::Law> law;  // of N and D
  fit::Vector theta{};
  std::function<double(double N)> noise;  // standard deviation of ln loss of one run
  std::string source;                     // in words

  double loss(double N, double D) const;
  fit::AssumedLaw assumed() const { return {*law, theta}; }
};

// L = 0.52 + 14.2 / N^0.256 + 110 / D^0.337, nats per byte: English, as configs/sweeps/isoflop-text.toml found it
// (docs/results/isoflop-text), and 0.5% between seeds; what the goal says in their place. UsageError for a law that is not of N and D and for
// constants that do not determine it.
Belief stated_belief(const sweep::Goal& goal);

// The goal's law fitted to these runs, with the noise of its residuals unless the goal states one. Errors as fit_law().
Belief fitted_belief(const sweep::Goal& goal, const fit::Table& runs);

// The loss of the stated law for who has no goal.
double stated_loss(double N, double D);

}  // namespace loglog::design
