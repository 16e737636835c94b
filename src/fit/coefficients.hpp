// The part of a start that needs no search: coefficients of a loss that is linear in them.
#pragma once
#include <functional>
#include <span>

#include "fit/objective.hpp"

namespace loglog::fit {

// What is left of a loss over itself, and each term of it for a coefficient of 1, over the loss too: relative errors.
struct LinearRow {
  Vector terms{};
  double target = 1;
};

// Non-negative least squares of sum_k c_k terms_k = target over the points, the best of all subsets: few coefficients. Those that are left out
// are 0.
Vector positive_coefficients(std::span<const double> weights, int count,
                             const std::function<LinearRow(int point)>& row);

}  // namespace loglog::fit
