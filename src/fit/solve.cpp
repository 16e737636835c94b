#include "fit/solve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"

namespace loglog::fit {
namespace {

constexpr int kMaxSteps = 200;
constexpr double kAgreement = 1e-6;

double scale_of(std::span<const double> weights, Huber huber) {
  return huber.delta * std::accumulate(weights.begin(), weights.end(), 0.0);
}

double largest_difference(const Vector& a, const Vector& b, int n) {
  double largest = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

// Parameters that sit on a bound and would leave the box along -gradient.
std::array<bool, kMaxParameters> held(const Expansion& e, const Bounds& bounds, const Vector& theta) {
  std::array<bool, kMaxParameters> result{};
  for (std::size_t i = 0; i < theta.size(); ++i) {
    result[i] =
        (theta[i] <= bounds.low[i] && e.gradient[i] > 0) || (theta[i] >= bounds.high[i] && e.gradient[i] < 0);
  }
  return result;
}

// The step of (H + damping * diag) d = -g over the free parameters, where H is the Hessian or J'WJ and diag that of J'WJ. False when
// the damped matrix is not positive definite.
bool damped_step(const Expansion& e, const Matrix& h, const std::array<bool, kMaxParameters>& is_held,
                 double damping, int n, Vector& step) {
  Matrix a = h;
  Vector b{};
  double largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, at(e.gauss_newton, i, i));
  for (int i = 0; i < n; ++i) {
    const auto index = static_cast<std::size_t>(i);
    b[index] = -e.gradient[index];
    at(a, i, i) += damping * std::max(at(e.gauss_newton, i, i), 1e-12 * largest);
    if (!is_held[index]) continue;
    b[index] = 0;
    for (int j = 0; j < n; ++j) at(a, i, j) = at(a, j, i) = 0;
    at(a, i, i) = 1;
  }
  return solve_positive(a, b, n, step);
}

bool newton_step(const Expansion& e, const std::array<bool, kMaxParameters>& is_held, double damping, int n,
                 Vector& step) {
  return damped_step(e, e.hessian, is_held, damping, n, step);
}

constexpr double kLongestStep =
    3.0;  // a factor of 20 in a coefficient: beyond it the quadratic model says nothing

Vector inside(const Vector& theta, const Vector& step, const Bounds& bounds, int n) {
  double longest = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
    longest = std::max(longest, std::abs(step[i]));
  const double shorten = longest > kLongestStep ? kLongestStep / longest : 1.0;
  Vector result = theta;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    result[i] = std::clamp(theta[i] + shorten * step[i], bounds.low[i], bounds.high[i]);
  }
  return result;
}

// Each component shortened for itself: far out one term may not be felt at all, and its endless step must not hold up the others.
Vector each_inside(const Vector& theta, Vector step, const Bounds& bounds, int n) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
    step[i] = std::clamp(step[i], -kLongestStep, kLongestStep);
  return inside(theta, step, bounds, n);
}

double decrement_of(const Expansion& e, const Vector& step, int n) {
  double gain = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) gain -= 0.5 * e.gradient[i] * step[i];
  return gain;
}

}  // namespace

namespace {

double free_gradient(const Expansion& e, const Bounds& bounds, const Vector& theta, int n) {
  const auto is_held = held(e, bounds, theta);
  double largest = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    if (!is_held[i]) largest = std::max(largest, std::abs(e.gradient[i]));
  }
  return largest;
}

enum class Steps { newton, gauss_newton };

// Damped steps for as long as F falls by more than `least_gain` of it. With |r| > delta nearly everywhere the Hessian is indefinite;
// damping turns the step towards the gradient. J'WJ never is: Gauss-Newton steps are for starts from which Newton's go astray.
int fall(const Points& points, std::span<const double> weights, Huber huber, const Bounds& bounds,
         Vector& theta, Expansion& e, Steps kind = Steps::newton, double least_gain = 1e-16) {
  constexpr int kAttempts = 40;
  const int n = points.law().parameter_count();
  const double smallest = 1e-30 * scale_of(weights, huber);
  double damping = 0;
  for (int steps = 0; steps < kMaxSteps; ++steps) {
    const auto is_held = held(e, bounds, theta);
    bool moved = false;
    for (int attempt = 0; attempt < kAttempts && !moved; ++attempt) {
      Vector step{};
      if (damped_step(e, kind == Steps::newton ? e.hessian : e.gauss_newton, is_held, damping, n, step)) {
        const double gain = decrement_of(e, step, n);
        if (gain <= least_gain * e.value + smallest) return steps;
        const Vector candidate =
            kind == Steps::newton ? inside(theta, step, bounds, n) : each_inside(theta, step, bounds, n);
        // Of most candidates more than the value is needed.
        Expansion next = expand(points, weights, huber, candidate, kind == Steps::newton);
        if (next.value < e.value) {
          if (next.value < e.value - 0.25 * gain) damping *= 0.1;
          if (damping < 1e-8) damping = 0;
          theta = candidate;
          e = next;
          moved = true;
          continue;
        }
      }
      damping = std::max(1e-6, damping * 8);
    }
    if (!moved) return steps;
  }
  return kMaxSteps;
}

// Where a step gains less than the rounding of F the gradient still tells better from worse.
void close_in(const Points& points, std::span<const double> weights, Huber huber, const Bounds& bounds,
              Vector& theta, Expansion& e) {
  const int n = points.law().parameter_count();
  for (int steps = 0; steps < 4; ++steps) {
    Vector step{};
    if (!newton_step(e, held(e, bounds, theta), 0.0, n, step)) return;
    const Vector candidate = inside(theta, step, bounds, n);
    const Expansion next = expand(points, weights, huber, candidate);
    const bool no_worse = next.value <= e.value * (1 + 1e-14);
    if (!no_worse || free_gradient(next, bounds, candidate, n) >= free_gradient(e, bounds, theta, n)) return;
    theta = candidate;
    e = next;
  }
}

}  // namespace

Descent descend(const Points& points, std::span<const double> weights, Huber huber, const Bounds& bounds,
                const Vector& start) {
  const int n = points.law().parameter_count();
  const double scale = scale_of(weights, huber);
  Descent result;
  result.rounding = 2 * std::numeric_limits<double>::epsilon() / huber.delta;
  result.theta = inside(start, Vector{}, bounds, n);
  Expansion e = expand(points, weights, huber, result.theta);
  result.iterations = fall(points, weights, huber, bounds, result.theta, e);
  close_in(points, weights, huber, bounds, result.theta, e);
  const auto is_held = held(e, bounds, result.theta);
  Vector step{};
  result.value = e.value;
  if (!newton_step(e, is_held, 0.0, n, step) && !newton_step(e, is_held, 1e-3, n, step)) step = Vector{};
  result.decrement = std::max(0.0, decrement_of(e, step, n)) / scale;
  result.gradient = free_gradient(e, bounds, result.theta, n) / scale;
  for (int i = 0; i < n; ++i) {
    if (is_held[static_cast<std::size_t>(i)]) result.at_bounds.push_back(i);
  }
  return result;
}

std::vector<Vector> best_starts(const Points& points, std::span<const double> weights, Huber huber,
                                int keep) {
  struct Scored {
    double value;
    Vector theta;
  };
  std::vector<Scored> scored;
  for (const Vector& theta : points.law().form->starts(points, weights)) {
    const double value = objective(points, weights, huber, theta);
    if (std::isfinite(value)) scored.push_back({value, theta});
  }
  std::stable_sort(scored.begin(), scored.end(),
                   [](const Scored& a, const Scored& b) { return a.value < b.value; });
  std::vector<Vector> starts;
  for (const Scored& entry : scored) {
    if (static_cast<int>(starts.size()) < keep) starts.push_back(entry.theta);
  }
  return starts;
}

std::vector<Vector> hoffmann_starts(const Points& points) {
  if (points.law().name != "chinchilla")
    throw UsageError(
        fmt::format("--starts hoffmann is for --law chinchilla; {} has other parameters", points.law().name));
  std::vector<Vector> starts;
  for (int a = 0; a <= 25; a += 5)
    for (int b = 0; b <= 25; b += 5)
      for (int e = -2; e <= 2; ++e)
        for (int alpha = 0; alpha <= 4; ++alpha)
          for (int beta = 0; beta <= 4; ++beta)
            starts.push_back(points.law().form->centre(
                {double(a), double(b), 0.5 * e, 0.5 * alpha, 0.5 * beta}, points.centres()));
  return starts;
}

Solution solve(const Points& points, std::span<const double> weights, Huber huber, const Vector* also_from) {
  std::vector<Vector> starts = best_starts(points, weights, huber, points.law().form->followed_starts());
  if (also_from != nullptr) starts.push_back(*also_from);
  return solve_from(points, weights, huber, starts);
}

namespace {

Solution solution_of(const Points& points, std::span<const double> weights, Huber huber,
                     const std::vector<Vector>& starts, const std::vector<Descent>& ends) {
  const int n = points.law().parameter_count();
  std::size_t best = 0;
  for (std::size_t i = 1; i < ends.size(); ++i) {
    if (ends[i].value < ends[best].value) best = i;
  }

  Solution solution{ends[best].theta, ends[best].value, {}};
  Certificate& c = solution.certificate;
  c.converged = ends[best].converged();
  c.starts = static_cast<int>(starts.size());
  for (const Descent& end : ends) {
    if (end.value > ends[best].value * (1 + kAgreement) + 1e-18) {
      c.other_minima += end.converged() ? 1 : 0;
      continue;
    }
    ++c.agreeing;
    c.spread = std::max(c.spread, largest_difference(end.theta, ends[best].theta, n));
  }
  c.gradient = ends[best].gradient;
  c.decrement = ends[best].decrement;
  Matrix hessian = expand(points, weights, huber, solution.theta).hessian;
  for (double& value : hessian) value /= scale_of(weights, huber);
  c.min_eigenvalue = eigenvalues(hessian, n).front();
  c.condition = jacobian_condition(points, solution.theta);
  c.moved = largest_difference(starts[best], solution.theta, n);
  for (const int index : ends[best].at_bounds)
    c.at_bounds.push_back(points.law().form->parameter_name(index));
  return solution;
}

}  // namespace

Solution solve_from(const Points& points, std::span<const double> weights, Huber huber,
                    const std::vector<Vector>& starts) {
  const Bounds bounds = points.law().form->bounds(points);
  std::vector<Descent> ends;
  for (const Vector& start : starts) ends.push_back(descend(points, weights, huber, bounds, start));
  return solution_of(points, weights, huber, starts, ends);
}

Solution solve_from_afar(const Points& points, std::span<const double> weights, Huber huber,
                         const std::vector<Vector>& starts) {
  constexpr double kGauss = 1e-4, kNewton = 1e-8, kHalfway = 1e-3;  // gains that are worth another step
  constexpr double kSquares = 30, kFirst = 0.03,
                   kShrink = 0.25;  // deltas: of least squares, then from there down
  constexpr double kSame = 1e-5;
  const Bounds bounds = points.law().form->bounds(points);
  const int n = points.law().parameter_count();
  std::vector<std::pair<Vector, Descent>>
      known;  // minima of least squares, and where the way from there ends
  std::vector<Descent> ends;
  for (const Vector& start : starts) {
    Huber larger = huber;
    larger.delta = kSquares;
    Vector theta = inside(start, Vector{}, bounds, n);
    Expansion e = expand(points, weights, larger, theta, false);
    fall(points, weights, larger, bounds, theta, e, Steps::gauss_newton, kGauss);
    e = expand(points, weights, larger, theta);
    fall(points, weights, larger, bounds, theta, e, Steps::newton, kNewton);
    const auto found = std::ranges::find_if(
        known, [&](const auto& other) { return largest_difference(other.first, theta, n) < kSame; });
    if (found != known.end()) {
      ends.push_back(found->second);
      continue;
    }
    const Vector squares = theta;
    for (larger.delta = kFirst; larger.delta > huber.delta; larger.delta *= kShrink) {
      e = expand(points, weights, larger, theta);
      fall(points, weights, larger, bounds, theta, e, Steps::newton, kHalfway);
    }
    ends.push_back(descend(points, weights, huber, bounds, theta));
    known.emplace_back(squares, ends.back());
  }
  return solution_of(points, weights, huber, starts, ends);
}

}  // namespace loglog::fit
