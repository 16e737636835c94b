#include "fit/dense.hpp"

#include <algorithm>
#include <cmath>

namespace loglog::fit {

bool solve_positive(Matrix a, Vector b, int n, Vector& x) {
  for (int j = 0; j < n; ++j) {
    const double diagonal = at(a, j, j);
    double pivot = diagonal;
    for (int k = 0; k < j; ++k) pivot -= at(a, j, k) * at(a, j, k);
    if (!(pivot > 1e-15 * std::abs(diagonal))) return false;  // also NaN
    const double root = std::sqrt(pivot);
    at(a, j, j) = root;
    for (int i = j + 1; i < n; ++i) {
      double sum = at(a, i, j);
      for (int k = 0; k < j; ++k) sum -= at(a, i, k) * at(a, j, k);
      at(a, i, j) = sum / root;
    }
  }
  for (int i = 0; i < n; ++i) {
    double sum = b[static_cast<std::size_t>(i)];
    for (int k = 0; k < i; ++k) sum -= at(a, i, k) * b[static_cast<std::size_t>(k)];
    b[static_cast<std::size_t>(i)] = sum / at(a, i, i);
  }
  for (int i = n - 1; i >= 0; --i) {
    double sum = b[static_cast<std::size_t>(i)];
    for (int k = i + 1; k < n; ++k) sum -= at(a, k, i) * b[static_cast<std::size_t>(k)];
    b[static_cast<std::size_t>(i)] = sum / at(a, i, i);
  }
  x = b;
  return true;
}

std::vector<double> eigenvalues(Matrix a, int n) {
  constexpr int kSweeps = 60;  // convergence is quadratic; ten suffice in practice
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    double off_diagonal = 0;
    double diagonal = 0;
    for (int i = 0; i < n; ++i) {
      diagonal += at(a, i, i) * at(a, i, i);
      for (int j = 0; j < i; ++j) off_diagonal += at(a, i, j) * at(a, i, j);
    }
    if (off_diagonal <= 1e-32 * diagonal) break;
    for (int p = 0; p < n; ++p) {
      for (int q = p + 1; q < n; ++q) {
        if (at(a, p, q) == 0) continue;
        const double theta = (at(a, q, q) - at(a, p, p)) / (2 * at(a, p, q));
        const double t = std::copysign(1.0, theta) / (std::abs(theta) + std::hypot(theta, 1.0));
        const double c = 1 / std::hypot(t, 1.0);
        const double s = t * c;
        for (int k = 0; k < n; ++k) {
          const double kp = at(a, k, p);
          const double kq = at(a, k, q);
          at(a, k, p) = c * kp - s * kq;
          at(a, k, q) = s * kp + c * kq;
        }
        for (int k = 0; k < n; ++k) {
          const double pk = at(a, p, k);
          const double qk = at(a, q, k);
          at(a, p, k) = c * pk - s * qk;
          at(a, q, k) = s * pk + c * qk;
        }
      }
    }
  }
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(at(a, i, i));
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace loglog::fit
