#include "fit/objective.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"

namespace loglog::fit {

Points::Points(const Law& law, const std::vector<std::vector<double>>& columns, std::span<const double> loss)
    : law_(&law), variables_(static_cast<int>(columns.size())) {
  LOGLOG_CHECK(columns.size() == law.variables.size(), "{} columns for {} variables", columns.size(),
               law.variables.size());
  for (const std::vector<double>& column : columns) {
    LOGLOG_CHECK(column.size() == loss.size(), "{} values for {} losses", column.size(), loss.size());
    double sum = 0;
    for (const double x : column) sum += std::log(x);
    centres_.push_back(law.form->is_centred() ? sum / static_cast<double>(column.size()) : 0);
  }
  for (std::size_t i = 0; i < loss.size(); ++i) {
    for (std::size_t v = 0; v < columns.size(); ++v) log_x_.push_back(std::log(columns[v][i]) - centres_[v]);
    log_loss_.push_back(std::log(loss[i]));
  }
}

std::pair<double, double> Points::range(int variable) const {
  double low = INFINITY;
  double high = -INFINITY;
  for (int i = 0; i < size(); ++i) {
    low = std::min(low, log_x(i)[variable]);
    high = std::max(high, log_x(i)[variable]);
  }
  const double centre = centres_[static_cast<std::size_t>(variable)];
  return {low + centre, high + centre};
}

double Points::decades(int variable) const {
  const auto [low, high] = range(variable);
  return (high - low) / std::log(10.0);
}

double Points::lowest_log_loss() const {
  return *std::min_element(log_loss_.begin(), log_loss_.end());
}

Points Points::with_log_losses(std::vector<double> log_loss) const {
  LOGLOG_CHECK(log_loss.size() == log_loss_.size(), "{} losses for {} points", log_loss.size(),
               log_loss_.size());
  Points other = *this;
  other.log_loss_ = std::move(log_loss);
  return other;
}

double Huber::value(double r) const noexcept {
  const double size = std::abs(r);
  return side(r) * (size <= delta ? 0.5 * r * r : delta * (size - 0.5 * delta));
}

double Huber::slope(double r) const noexcept {
  return side(r) * std::clamp(r, -delta, delta);
}

double residual(const Points& points, int i, Huber huber, const Vector& theta) {
  const double predicted = points.law().form->log_loss(theta, points.log_x(i), nullptr, nullptr);
  return huber.raw ? std::exp(predicted) - std::exp(points.log_loss(i)) : predicted - points.log_loss(i);
}

double objective(const Points& points, std::span<const double> weights, Huber huber, const Vector& theta) {
  double sum = 0;
  for (int i = 0; i < points.size(); ++i) {
    const double w = weights[static_cast<std::size_t>(i)];
    if (w == 0) continue;  // absent from this resample
    sum += w * huber.value(residual(points, i, huber, theta));
  }
  return sum;
}

namespace {

// The residual of L; derivatives of ln L become those of L.
double of_raw_loss(double log_predicted, double log_loss, int n, Vector& g, Matrix& h) {
  const double predicted = std::exp(log_predicted);
  for (int a = 0; a < n; ++a)
    for (int b = 0; b < n; ++b)
      at(h, a, b) =
          predicted * (at(h, a, b) + g[static_cast<std::size_t>(a)] * g[static_cast<std::size_t>(b)]);
  for (int a = 0; a < n; ++a) g[static_cast<std::size_t>(a)] *= predicted;
  return predicted - std::exp(log_loss);
}

}  // namespace

Expansion expand(const Points& points, std::span<const double> weights, Huber huber, const Vector& theta) {
  Expansion e;
  const Law& law = points.law();
  const int n = law.parameter_count();
  Vector g;
  Matrix h;
  for (int i = 0; i < points.size(); ++i) {
    const double w = weights[static_cast<std::size_t>(i)];
    if (w == 0) continue;
    const double predicted = law.form->log_loss(theta, points.log_x(i), &g, &h);
    const double r =
        huber.raw ? of_raw_loss(predicted, points.log_loss(i), n, g, h) : predicted - points.log_loss(i);
    const double slope = w * huber.slope(r);
    const bool inside = std::abs(r) <= huber.delta;
    const double curvature = inside ? w * huber.side(r) : 0.0;  // second derivative of Huber
    const double secant = inside ? w * huber.side(r) : slope / r;
    e.value += w * huber.value(r);
    for (int a = 0; a < n; ++a) {
      const double ga = g[static_cast<std::size_t>(a)];
      e.gradient[static_cast<std::size_t>(a)] += slope * ga;
      for (int b = 0; b <= a; ++b) {
        const double outer = ga * g[static_cast<std::size_t>(b)];
        at(e.hessian, a, b) += curvature * outer + slope * at(h, a, b);
        at(e.gauss_newton, a, b) += secant * outer;
      }
    }
  }
  for (int a = 0; a < n; ++a) {
    for (int b = 0; b < a; ++b) {
      at(e.hessian, b, a) = at(e.hessian, a, b);
      at(e.gauss_newton, b, a) = at(e.gauss_newton, a, b);
    }
  }
  return e;
}

std::vector<double> residuals(const Points& points, const Vector& theta) {
  std::vector<double> r;
  for (int i = 0; i < points.size(); ++i) {
    r.push_back(points.law().form->log_loss(theta, points.log_x(i), nullptr, nullptr) - points.log_loss(i));
  }
  return r;
}

double jacobian_condition(const Points& points, const Vector& theta) {
  const int n = points.law().parameter_count();
  Matrix product{};
  Vector g;
  for (int i = 0; i < points.size(); ++i) {
    points.law().form->log_loss(theta, points.log_x(i), &g, nullptr);
    for (int a = 0; a < n; ++a) {
      for (int b = 0; b < n; ++b) {
        at(product, a, b) += g[static_cast<std::size_t>(a)] * g[static_cast<std::size_t>(b)];
      }
    }
  }
  Vector length{};
  for (int a = 0; a < n; ++a) {
    length[static_cast<std::size_t>(a)] = std::sqrt(at(product, a, a));
    if (length[static_cast<std::size_t>(a)] == 0) return INFINITY;
  }
  for (int a = 0; a < n; ++a) {
    for (int b = 0; b < n; ++b) {
      at(product, a, b) /= length[static_cast<std::size_t>(a)] * length[static_cast<std::size_t>(b)];
    }
  }
  const std::vector<double> values = eigenvalues(product, n);
  // Below 1e-15 an eigenvalue of J'J is rounding alone.
  return values.front() > 1e-15 ? std::sqrt(values.back() / values.front()) : INFINITY;
}

}  // namespace loglog::fit
