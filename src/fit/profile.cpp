#include "fit/profile.hpp"

#include <algorithm>
#include <cmath>

#include "base/stats.hpp"
#include "fit/centred_quantity.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {
namespace {

double dot(const Vector& a, const Vector& b, int n) {
  double sum = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) sum += a[i] * b[i];
  return sum;
}

// The step of Newton's method on the Lagrangian, H the Hessian of F + multiplier q: back to q = target and down along it. False where H
// stays indefinite.
bool lagrange_step(const Expansion& e, const Slope& q, double target, double& multiplier, int n,
                   Vector& step) {
  for (const double damping : {0.0, 1e-3, 1e-1, 1.0, 10.0}) {
    Matrix h = e.hessian;
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) at(h, i, j) += multiplier * at(q.hessian, i, j);
      at(h, i, i) += damping * at(e.gauss_newton, i, i);
    }
    Vector down{}, along{};
    if (!solve_positive(h, e.gradient, n, down) || !solve_positive(h, q.gradient, n, along)) continue;
    const double slope = dot(q.gradient, along, n);
    if (!(slope > 0)) return false;
    multiplier = (q.value - target - dot(q.gradient, down, n)) / slope;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) step[i] = -down[i] - multiplier * along[i];
    return true;
  }
  return false;
}

Vector moved(const Vector& theta, const Vector& step, double share, const Bounds& bounds, int n) {
  Vector result = theta;
  for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k)
    result[k] = std::clamp(theta[k] + share * step[k], bounds.low[k], bounds.high[k]);
  return result;
}

}  // namespace

bool ProfileInterval::closed() const {
  return std::isfinite(low) && std::isfinite(high);
}

double small_sample_factor(int parameters, double rows, double inside) {
  return 1 + parameters / rows * (1 - inside) / inside;
}

ResidualScale residual_scale(const Points& points, std::span<const double> weights, Huber huber,
                             const Vector& best) {
  double squares = 0, inside = 0, sum = 0;
  int count = 0;
  const std::vector<double> r = residuals(points, best);
  for (std::size_t i = 0; i < r.size(); ++i) {
    if (weights[i] == 0) continue;
    ++count;
    sum += weights[i];
    squares += weights[i] * std::pow(huber.slope(r[i]), 2);
    inside += std::abs(r[i]) <= huber.delta ? weights[i] : 0;
  }
  ResidualScale s;
  s.degrees = count - points.law().parameter_count();
  const double k = inside / sum;
  const double variance = squares / sum * count / s.degrees *
                          std::pow(small_sample_factor(points.law().parameter_count(), count, k), 2);
  s.variance = variance / (k * k);
  s.per_objective = k / variance;
  return s;
}

std::optional<ConstrainedFit> constrained_fit(const Points& points, std::span<const double> weights,
                                              Huber huber, const Vector& start, const Quantity& quantity,
                                              double value) {
  constexpr int kMostSteps = 100, kMostHalvings = 30;
  constexpr double kLongestStep = 1.0, kDone = 1e-7;  // Newton's next step is of the order of its square
  const int n = points.law().parameter_count();
  const CentredQuantity q(points, quantity);
  const Bounds bounds = points.law().form->bounds(points);
  Vector theta = start;
  double multiplier = 0;
  for (int i = 0; i < kMostSteps; ++i) {
    const Expansion e = expand(points, weights, huber, theta);
    Vector step{};
    if (!lagrange_step(e, q.expand(theta), value, multiplier, n, step)) return std::nullopt;
    double longest = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k)
      longest = std::max(longest, std::abs(step[k]));
    if (!std::isfinite(longest)) return std::nullopt;
    // What has to fall is F and, at a price above the multiplier, the distance from the value: where points pass delta the whole step may be
    // too long (Nocedal and Wright 2006, section 15.4).
    const double price = 2 * std::abs(multiplier), before = e.value + price * std::abs(q(theta) - value);
    double share = longest > kLongestStep ? kLongestStep / longest : 1.0;
    Vector next = moved(theta, step, share, bounds, n);
    const auto merit = [&](const Vector& t) {
      return objective(points, weights, huber, t) + price * std::abs(q(t) - value);
    };
    for (int halving = 0; halving < kMostHalvings && longest > kDone && !(merit(next) < before); ++halving)
      next = moved(theta, step, share /= 2, bounds, n);
    theta = next;
    if (longest > kDone) continue;
    const bool met = std::abs(q(theta) - value) <= 1e-6 * std::max(std::abs(value), 1e-300);
    if (!met) return std::nullopt;  // a bound is in the way
    return ConstrainedFit{theta, objective(points, weights, huber, theta)};
  }
  return std::nullopt;
}

ProfileInterval profile_interval(const Points& points, std::span<const double> weights, Huber huber,
                                 const Vector& best, const Quantity& quantity, double confidence) {
  constexpr int kMostTrials = 60;
  constexpr double kFarthest = 1e3;  // times the width that a quadratic objective would have
  const ResidualScale scale = residual_scale(points, weights, huber, best);
  if (scale.degrees < 1) return {NAN, NAN};
  const int n = points.law().parameter_count();
  const Expansion e = expand(points, weights, huber, best);
  const Slope q = CentredQuantity(points, quantity).expand(best);
  if (dot(q.gradient, q.gradient, n) == 0) return {q.value, q.value};  // no theta changes it
  Vector along{};
  if (!solve_positive(e.hessian, q.gradient, n, along)) return {NAN, NAN};
  const double limit = f_quantile(confidence, 1, scale.degrees);
  const double width = std::sqrt(limit * dot(q.gradient, along, n) / scale.per_objective);
  // The root of T / limit is nearly a straight line in c, 0 at the best and 1 at the end.
  const auto end_towards = [&](double sign) {
    Vector from = best;
    double inner = 0, inner_root = 0, outer = NAN, distance = width;
    for (int trial = 0; trial < kMostTrials && distance < kFarthest * width; ++trial) {
      const auto fit = constrained_fit(points, weights, huber, from, quantity, q.value + sign * distance);
      if (!fit) {  // too far for one step, or there is nothing out there
        outer = distance;
        distance = (inner + distance) / 2;
        if (distance - inner < 1e-9 * width) break;
        continue;
      }
      const double root = std::sqrt(std::max(0.0, 2 * (fit->value - e.value) * scale.per_objective / limit));
      if (std::abs(root - 1) < 1e-7) return q.value + sign * distance;
      if (root < 1) {
        const double slope = (root - inner_root) / (distance - inner);
        inner = distance, inner_root = root, from = fit->theta;
        const double ahead = slope > 0 ? distance + std::min((1 - root) / slope, 2 * distance) : 2 * distance;
        distance = std::isnan(outer) || ahead < outer ? ahead : (inner + outer) / 2;
      } else {
        outer = distance;
        const double secant = inner + (distance - inner) * (1 - inner_root) / (root - inner_root);
        distance = std::clamp(secant, inner + 1e-3 * (outer - inner), outer - 1e-6 * (outer - inner));
      }
    }
    return double(NAN);
  };
  return {end_towards(-1), end_towards(1)};
}

}  // namespace loglog::fit
