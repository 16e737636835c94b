// The best that a law allows for an amount of compute: how large a model, on how many tokens, at which loss; and what another size costs.
#pragma once
#include <functional>
#include <limits>
#include <string>

#include "fit/law.hpp"

namespace loglog::fit {

// FLOPs of training on one token, as a formula in N: "6*N", "6*N + 24*N^(2/3)*512". UsageError for another variable.
class TokenCost {
 public:
  explicit TokenCost(const std::string& formula = "6*N");
  explicit TokenCost(std::function<double(double N)> flops) : flops_(std::move(flops)) {}
  double operator()(double N) const { return flops_(N); }

 private:
  std::function<double(double N)> flops_;
};

struct Allocation {
  double N = 0, D = 0, loss = 0;  // NaN where no size is best: the loss has no minimum inside
};

// Loss of a law of N and D (or of C = cost(N) D and M = D / N, which are made of them). Holds the law by pointer.
class Frontier {
 public:
  // UsageError for a law of other variables.
  Frontier(const Law& law, TokenCost cost);

  double cost_per_token(double N) const { return cost_(N); }
  double loss(const Vector& theta, double N, double D) const;
  Allocation best(const Vector& theta, double C) const;
  // Of all N whose loss at C is at most (1 + share) times the best, the least and the largest.
  struct Range {
    double low, high;
  };
  Range indifferent(const Vector& theta, double C, double share) const;
  // Compute with which a model of N parameters reaches this loss, and with which the best does; infinite where none does.
  double compute_of_size(const Vector& theta, double N, double loss) const;
  double compute_of_best(const Vector& theta, double loss) const;

 private:
  double log_loss(const Vector& theta, double log_N, double log_D) const;

  const Law* law_;
  TokenCost cost_;
};

}  // namespace loglog::fit
