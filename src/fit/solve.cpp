#include "fit/solve.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace loglog::fit {
namespace {

constexpr double kSmallestExponent = 1e-3;
constexpr double kLargestExponent = 5.0;
constexpr double kFloorDepth = 25.0;  // E may fall to exp(-25) of the lowest loss before it counts as absent
constexpr int kMaxSteps = 200;
constexpr int kGrid = 12;
constexpr int kPolished = 8;
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

// The step of (H + damping * diag) d = -g over the free parameters, where diag is that of J'WJ. False when
// the damped matrix is not positive definite.
bool newton_step(const Expansion& e, const std::array<bool, kMaxParameters>& is_held, double damping, int n,
                 Vector& step) {
  Matrix a = e.hessian;
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

Vector inside(const Vector& theta, const Vector& step, const Bounds& bounds, int n) {
  constexpr double kLongestStep =
      3.0;  // a factor of 20 in a coefficient: beyond it the quadratic model says nothing
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

double decrement_of(const Expansion& e, const Vector& step, int n) {
  double gain = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) gain -= 0.5 * e.gradient[i] * step[i];
  return gain;
}

}  // namespace

Bounds bounds_of(const Points& points) {
  const Law& law = points.law();
  Bounds bounds;
  bounds.low.fill(-1e3);
  bounds.high.fill(1e3);
  for (int i = law.coefficient_count(); i < law.parameter_count(); ++i) {
    bounds.low[static_cast<std::size_t>(i)] = kSmallestExponent;
    bounds.high[static_cast<std::size_t>(i)] = kLargestExponent;
  }
  if (const int floor = law.floor_index(); floor >= 0) {
    bounds.low[static_cast<std::size_t>(floor)] = points.lowest_log_loss() - kFloorDepth;
    bounds.high[static_cast<std::size_t>(floor)] = points.lowest_log_loss() + 1.0;
  }
  return bounds;
}

namespace {

double free_gradient(const Expansion& e, const Bounds& bounds, const Vector& theta, int n) {
  const auto is_held = held(e, bounds, theta);
  double largest = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    if (!is_held[i]) largest = std::max(largest, std::abs(e.gradient[i]));
  }
  return largest;
}

// Damped Newton steps for as long as F falls. With |r| > delta nearly everywhere the Hessian is indefinite;
// damping turns the step towards the gradient.
int fall(const Points& points, std::span<const double> weights, Huber huber, const Bounds& bounds,
         Vector& theta, Expansion& e) {
  constexpr int kAttempts = 40;
  const int n = points.law().parameter_count();
  const double smallest = 1e-30 * scale_of(weights, huber);
  double damping = 0;
  for (int steps = 0; steps < kMaxSteps; ++steps) {
    const auto is_held = held(e, bounds, theta);
    bool moved = false;
    for (int attempt = 0; attempt < kAttempts && !moved; ++attempt) {
      Vector step{};
      if (newton_step(e, is_held, damping, n, step)) {
        const double gain = decrement_of(e, step, n);
        if (gain <= 1e-16 * e.value + smallest) return steps;
        const Vector candidate = inside(theta, step, bounds, n);
        const double value = objective(points, weights, huber, candidate);
        if (value < e.value) {
          if (value < e.value - 0.25 * gain) damping *= 0.1;
          if (damping < 1e-8) damping = 0;
          theta = candidate;
          moved = true;
          continue;
        }
      }
      damping = std::max(1e-6, damping * 8);
    }
    if (!moved) return steps;
    e = expand(points, weights, huber, theta);
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

namespace {

// Non-negative least squares for the few coefficients of a law: the best of all subsets of columns whose
// solution is positive. rows (n, count) hold the columns divided by the target, whose right-hand side is then
// 1: relative errors.
Vector positive_coefficients(const Matrix& normal, const Vector& right, int count) {
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

Vector start_at(const Points& points, std::span<const double> weights, const Vector& exponents) {
  const Law& law = points.law();
  const int count = law.coefficient_count();
  const double power = law.outer ? exponents[static_cast<std::size_t>(law.parameter_count() - 1)] : 1.0;
  Matrix normal{};
  Vector right{};
  for (int i = 0; i < points.size(); ++i) {
    const double w = weights[static_cast<std::size_t>(i)];
    if (w == 0) continue;
    Vector row{};
    for (int k = 0; k < count; ++k) {
      double log_term = -points.log_loss(i) / power;
      for (const Factor& factor : law.terms[static_cast<std::size_t>(k)]) {
        const double p =
            factor.exponent == kFixedOne ? 1.0 : exponents[static_cast<std::size_t>(count + factor.exponent)];
        log_term -= p * points.log_x(i)[factor.variable];
      }
      row[static_cast<std::size_t>(k)] = std::exp(log_term);
    }
    for (int a = 0; a < count; ++a) {
      right[static_cast<std::size_t>(a)] += w * row[static_cast<std::size_t>(a)];
      for (int b = 0; b < count; ++b) {
        at(normal, a, b) += w * row[static_cast<std::size_t>(a)] * row[static_cast<std::size_t>(b)];
      }
    }
  }
  const Vector coefficients = positive_coefficients(normal, right, count);
  Vector theta = exponents;
  for (int k = 0; k < count; ++k) {
    // A coefficient that least squares put at zero starts at a thousandth of the loss, where it can still be felt.
    const double tiny = std::exp(points.lowest_log_loss() / power) * 1e-3;
    theta[static_cast<std::size_t>(k)] = std::log(std::max(coefficients[static_cast<std::size_t>(k)], tiny));
  }
  return theta;
}

}  // namespace

std::vector<Vector> grid_starts(const Points& points, std::span<const double> weights, Huber huber,
                                int keep) {
  constexpr double kFirst = 0.02;
  constexpr double kLast = 2.0;
  const Law& law = points.law();
  const int axes = law.parameter_count() - law.coefficient_count();
  int total = 1;
  for (int axis = 0; axis < axes; ++axis) total *= kGrid;
  struct Scored {
    double value;
    Vector theta;
  };
  std::vector<Scored> scored;
  for (int cell = 0; cell < total; ++cell) {
    Vector exponents{};
    int rest = cell;
    for (int axis = 0; axis < axes; ++axis, rest /= kGrid) {
      const double position = static_cast<double>(rest % kGrid) / (kGrid - 1);
      exponents[static_cast<std::size_t>(law.coefficient_count() + axis)] =
          kFirst * std::pow(kLast / kFirst, position);
    }
    const Vector theta = start_at(points, weights, exponents);
    scored.push_back({objective(points, weights, huber, theta), theta});
  }
  std::stable_sort(scored.begin(), scored.end(),
                   [](const Scored& a, const Scored& b) { return a.value < b.value; });
  std::vector<Vector> starts;
  for (const Scored& entry : scored) {
    if (static_cast<int>(starts.size()) < keep && std::isfinite(entry.value)) starts.push_back(entry.theta);
  }
  return starts;
}

std::string parameter_name(const Law& law, int index) {
  if (index == law.floor_index()) return "E";
  if (index < law.coefficient_count()) return "coefficient " + std::to_string(index + 1);
  if (law.outer && index == law.parameter_count() - 1) return "outer exponent";
  const int exponent = index - law.coefficient_count();
  for (const Term& term : law.terms) {
    for (const Factor& factor : term) {
      if (factor.exponent == exponent) {
        return "exponent of " + law.variables[static_cast<std::size_t>(factor.variable)];
      }
    }
  }
  return "exponent";
}

Solution solve(const Points& points, std::span<const double> weights, Huber huber, const Vector* also_from) {
  const int n = points.law().parameter_count();
  const Bounds bounds = bounds_of(points);
  std::vector<Vector> starts = grid_starts(points, weights, huber, kPolished);
  if (also_from != nullptr) starts.push_back(*also_from);
  std::vector<Descent> ends;
  for (const Vector& start : starts) ends.push_back(descend(points, weights, huber, bounds, start));
  std::size_t best = 0;
  for (std::size_t i = 1; i < ends.size(); ++i) {
    if (ends[i].value < ends[best].value) best = i;
  }

  Solution solution{ends[best].theta, ends[best].value, {}};
  Certificate& c = solution.certificate;
  c.converged = ends[best].converged();
  c.starts = static_cast<int>(starts.size());
  for (const Descent& end : ends) {
    if (end.value > ends[best].value * (1 + kAgreement) + 1e-18) continue;
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
  for (const int index : ends[best].at_bounds) c.at_bounds.push_back(parameter_name(points.law(), index));
  return solution;
}

}  // namespace loglog::fit
