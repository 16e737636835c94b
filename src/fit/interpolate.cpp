#include "fit/interpolate.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "fit/dense.hpp"

namespace loglog::fit {

double Parabola::operator()(double x) const {
  const double u = x - centre;
  return p0 + u * (p1 + u * p2);
}

std::optional<Parabola> fit_parabola(std::span<const double> x, std::span<const double> y,
                                     std::span<const double> w) {
  double weight = 0;
  double centre = 0;
  double middle = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    weight += w[i];
    centre += w[i] * x[i];
    middle += w[i] * y[i];
  }
  centre /= weight;
  middle /= weight;  // centring both keeps the normal equations at a condition where 1e-12 is reached
  Matrix a{};
  Vector b{};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double u = x[i] - centre;
    const double power[3] = {1, u, u * u};
    for (int j = 0; j < 3; ++j) {
      b[static_cast<std::size_t>(j)] += w[i] * power[j] * (y[i] - middle);
      for (int k = 0; k < 3; ++k) at(a, j, k) += w[i] * power[j] * power[k];
    }
  }
  Vector p{};
  if (!solve_positive(a, b, 3, p)) return std::nullopt;
  return Parabola{p[0] + middle, p[1], p[2], centre};
}

Akima::Akima(std::vector<double> x, std::vector<double> y) : x_(std::move(x)), y_(std::move(y)) {
  const std::size_t n = x_.size();
  LOGLOG_CHECK(n >= 3 && y_.size() == n, "Akima through {} points", n);
  std::vector<double> m(n + 3);  // secants, two extrapolated at each end
  for (std::size_t i = 0; i + 1 < n; ++i) {
    LOGLOG_CHECK(x_[i] < x_[i + 1], "x[{}] = {} is not below x[{}] = {}", i, x_[i], i + 1, x_[i + 1]);
    m[i + 2] = (y_[i + 1] - y_[i]) / (x_[i + 1] - x_[i]);
  }
  m[1] = 2 * m[2] - m[3];
  m[0] = 2 * m[1] - m[2];
  m[n + 1] = 2 * m[n] - m[n - 1];
  m[n + 2] = 2 * m[n + 1] - m[n];
  double largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::abs(m[i + 3] - m[i + 2]) + std::abs(m[i + 1] - m[i]));
  }
  for (std::size_t i = 0; i < n; ++i) {
    const double after = std::abs(m[i + 3] - m[i + 2]);
    const double before = std::abs(m[i + 1] - m[i]);
    // Where both differences vanish the formula is 0/0 and the slope is the mean of its neighbours.
    slope_.push_back(after + before > 1e-9 * largest
                         ? (after * m[i + 1] + before * m[i + 2]) / (after + before)
                         : 0.5 * (m[i + 1] + m[i + 2]));
  }
}

double Akima::operator()(double x) const {
  const auto above = std::upper_bound(x_.begin() + 1, x_.end() - 1, x);
  const auto i = static_cast<std::size_t>(above - x_.begin()) - 1;
  const double h = x_[i + 1] - x_[i];
  const double t = (x - x_[i]) / h;
  const double secant = (y_[i + 1] - y_[i]) / h;
  const double c2 = 3 * secant - 2 * slope_[i] - slope_[i + 1];
  const double c3 = slope_[i] + slope_[i + 1] - 2 * secant;
  return y_[i] + h * t * (slope_[i] + t * (c2 + t * c3));
}

}  // namespace loglog::fit
