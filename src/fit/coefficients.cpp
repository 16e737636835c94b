#include "fit/coefficients.hpp"

#include <cmath>

namespace loglog::fit {

Vector positive_coefficients(std::span<const double> weights, int count,
                             const std::function<LinearRow(int point)>& row) {
  Matrix normal{};
  Vector right{};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    const LinearRow r = row(static_cast<int>(i));
    for (int a = 0; a < count; ++a) {
      const double wa = weights[i] * r.terms[static_cast<std::size_t>(a)];
      right[static_cast<std::size_t>(a)] += wa * r.target;
      for (int b = 0; b < count; ++b) at(normal, a, b) += wa * r.terms[static_cast<std::size_t>(b)];
    }
  }
  Vector best{};
  double best_gain = -INFINITY;
  for (unsigned subset = 1; subset < (1u << count); ++subset) {
    Matrix a{};
    Vector b{};
    for (int i = 0; i < count; ++i) {
      for (int j = 0; j < count; ++j) {
        const bool both = (subset >> i & 1u) != 0 && (subset >> j & 1u) != 0;
        at(a, i, j) = both ? at(normal, i, j) : (i == j ? 1.0 : 0.0);
      }
      b[static_cast<std::size_t>(i)] = (subset >> i & 1u) != 0 ? right[static_cast<std::size_t>(i)] : 0.0;
    }
    Vector x{};
    if (!solve_positive(a, b, count, x)) continue;
    double gain = 0;  // reduction of the sum of squares is x'b at a least-squares solution
    bool positive = true;
    for (int i = 0; i < count; ++i) {
      const auto index = static_cast<std::size_t>(i);
      if ((subset >> i & 1u) != 0) positive = positive && x[index] > 0;
      gain += x[index] * b[index];
    }
    if (positive && gain > best_gain) {
      best_gain = gain;
      best = x;
    }
  }
  return best;
}

}  // namespace loglog::fit
