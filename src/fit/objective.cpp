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

using Lane = LossBatch::Lane;

// Derivatives of ln L become those of L.
void turn_into_raw(int n, LossBatch& batch) {
  const auto count = static_cast<std::size_t>(batch.count);
  std::size_t pair = 0;
  for (std::size_t i = 0; i < count; ++i) batch.value[i] = std::exp(batch.value[i]);
  for (std::size_t a = 0; a < static_cast<std::size_t>(n); ++a)
    for (std::size_t b = 0; batch.with_hessian && b <= a; ++b, ++pair)
      for (std::size_t i = 0; i < count; ++i)
        batch.hessian[pair][i] =
            batch.value[i] * (batch.hessian[pair][i] + batch.gradient[a][i] * batch.gradient[b][i]);
  for (std::size_t a = 0; a < static_cast<std::size_t>(n); ++a)
    for (std::size_t i = 0; i < count; ++i) batch.gradient[a][i] *= batch.value[i];
}

// In a fixed order of its own, which compilers turn into vectors. What lies beyond the batch's points is zero in one of them.
double dot(const Lane& x, const Lane& y) {
  constexpr std::size_t kSums = 8;
  std::array<double, kSums> sums{};
  for (std::size_t i = 0; i < x.size(); i += kSums)
    for (std::size_t k = 0; k < kSums; ++k) sums[k] += x[i + k] * y[i + k];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

// Of one point: w times the loss and its first two derivatives by the residual, and the secant slope / r. Zero beyond the points.
struct Weighted {
  Lane slope{}, curvature{}, secant{};
  double value = 0;
};

Weighted weigh(const LossBatch& batch, const Lane& observed, const Lane& weights, Huber huber) {
  Weighted at_points;
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch.count); ++i) {
    const double r = batch.value[i] - observed[i], w = weights[i];
    const bool inside = std::abs(r) <= huber.delta;
    at_points.slope[i] = w * huber.slope(r);
    at_points.curvature[i] = inside ? w * huber.side(r) : 0.0;
    at_points.secant[i] = inside ? w * huber.side(r) : at_points.slope[i] / r;
    at_points.value += w * huber.value(r);
  }
  return at_points;
}

void add(const LossBatch& batch, const Weighted& at_points, int n, Expansion& e) {
  const auto count = static_cast<std::size_t>(batch.count);
  e.value += at_points.value;
  std::size_t pair = 0;
  for (int a = 0; a < n; ++a) {
    const Lane& ga = batch.gradient[static_cast<std::size_t>(a)];
    Lane curved{}, secant{};
    for (std::size_t i = 0; i < count; ++i) curved[i] = at_points.curvature[i] * ga[i];
    for (std::size_t i = 0; i < count; ++i) secant[i] = at_points.secant[i] * ga[i];
    e.gradient[static_cast<std::size_t>(a)] += dot(at_points.slope, ga);
    for (int b = 0; b <= a; ++b, ++pair) {
      const Lane& gb = batch.gradient[static_cast<std::size_t>(b)];
      if (batch.with_hessian)
        at(e.hessian, a, b) += dot(curved, gb) + dot(at_points.slope, batch.hessian[pair]);
      at(e.gauss_newton, a, b) += dot(secant, gb);
    }
  }
}

}  // namespace

Expansion expand(const Points& points, std::span<const double> weights, Huber huber, const Vector& theta,
                 bool with_hessian) {
  Expansion e;
  const LawForm& form = *points.law().form;
  const int n = form.parameter_count();
  LossBatch batch;
  batch.with_hessian = with_hessian;
  for (int a = 0, pair = 0; a < n; ++a) {
    batch.gradient[static_cast<std::size_t>(a)].fill(0);
    for (int b = 0; b <= a; ++b) batch.hessian[static_cast<std::size_t>(pair++)].fill(0);
  }
  Lane observed{}, present{};
  for (int i = 0; i < points.size(); ++i) {
    const double w = weights[static_cast<std::size_t>(i)];
    if (w != 0) {  // else absent from this resample
      const auto slot = static_cast<std::size_t>(batch.count++);
      batch.log_x[slot] = points.log_x(i);
      observed[slot] = huber.raw ? std::exp(points.log_loss(i)) : points.log_loss(i);
      present[slot] = w;
    }
    if (batch.count < LossBatch::kSize && i + 1 < points.size()) continue;
    form.log_losses(theta, batch);
    if (huber.raw) turn_into_raw(n, batch);
    add(batch, weigh(batch, observed, present, huber), n, e);
    batch.count = 0;
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
