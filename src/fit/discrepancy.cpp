#include "fit/discrepancy.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/stats.hpp"
#include "fit/allocation/search.hpp"
#include "fit/dense.hpp"

namespace loglog::fit {
namespace {

constexpr int kMostPoints = 300;
constexpr double kFarthest = 3;  // standard deviations

using Place = std::vector<double>;

double distance_power(const Place& x, const Place& y) {
  double squares = 0;
  for (std::size_t v = 0; v < x.size(); ++v) squares += (x[v] - y[v]) * (x[v] - y[v]);
  return std::pow(squares, kDiscrepancyPower / 2);
}
double distance_power(const Place& x) {
  return distance_power(x, Place(x.size(), 0.0));
}
// Covariance of the field that is 0 at the origin, for tau = 1.
double covariance(const Place& x, const Place& y) {
  return 0.5 * (distance_power(x) + distance_power(y) - distance_power(x, y));
}

// Lower triangle of a symmetric matrix, by columns, so that the inner loop of the factorisation runs along memory.
class Symmetric {
 public:
  explicit Symmetric(int n) : n_(n), values_(static_cast<std::size_t>(n) * static_cast<std::size_t>(n)) {}
  double* column(int j) {
    return values_.data() + static_cast<std::size_t>(j) * static_cast<std::size_t>(n_);
  }
  const double* column(int j) const {
    return values_.data() + static_cast<std::size_t>(j) * static_cast<std::size_t>(n_);
  }
  int size() const { return n_; }

 private:
  int n_;
  std::vector<double> values_;
};

// L with L L' = a, in its place. False where a is not positive definite.
bool factorise(Symmetric& a) {
  const int n = a.size();
  for (int j = 0; j < n; ++j) {
    double* own = a.column(j);
    if (!(own[j] > 0)) return false;
    const double scale = 1 / std::sqrt(own[j]);
    for (int i = j; i < n; ++i) own[i] *= scale;
    for (int k = j + 1; k < n; ++k) {
      double* other = a.column(k);
      const double factor = own[k];
      for (int i = k; i < n; ++i) other[i] -= factor * own[i];
    }
  }
  return true;
}
// L^-1 b
std::vector<double> forward(const Symmetric& l, std::vector<double> b) {
  for (int j = 0; j < l.size(); ++j) {
    const auto k = static_cast<std::size_t>(j);
    b[k] /= l.column(j)[j];
    for (int i = j + 1; i < l.size(); ++i) b[static_cast<std::size_t>(i)] -= l.column(j)[i] * b[k];
  }
  return b;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// The residuals, their places and gradients: what the likelihood is of.
struct Sample {
  std::vector<double> residual, noise;  // noise: relative variance
  std::vector<Place> x;
  std::vector<std::vector<double>> gradients;  // one per parameter
};

Sample sample_of(const Points& points, std::span<const double> weights, const Vector& theta) {
  const int p = points.law().parameter_count();
  const auto variables = points.law().variables.size();
  std::vector<int> order;
  for (int i = 0; i < points.size(); ++i)
    if (weights[static_cast<std::size_t>(i)] > 0) order.push_back(i);
  const auto place = [&](int i) { return Place(points.log_x(i), points.log_x(i) + variables); };
  std::ranges::sort(order, {}, place);
  const auto stride =
      static_cast<std::size_t>((static_cast<int>(order.size()) + kMostPoints - 1) / kMostPoints);
  const std::vector<double> r = residuals(points, theta);
  std::vector<double> sizes;
  for (const int i : order) sizes.push_back(std::abs(r[static_cast<std::size_t>(i)]));
  const auto n = static_cast<double>(order.size());
  const double limit = kFarthest * 1.4826 * median(sizes) * std::sqrt(n / std::max(1.0, n - p));
  Sample s;
  s.gradients.resize(static_cast<std::size_t>(p));
  for (std::size_t k = 0; k < order.size(); k += stride) {
    const int i = order[k];
    s.residual.push_back(std::clamp(r[static_cast<std::size_t>(i)], -limit, limit));
    s.noise.push_back(1 / weights[static_cast<std::size_t>(i)]);
    s.x.push_back(place(i));
    Vector gradient{};
    points.law().form->log_loss(theta, points.log_x(i), &gradient, nullptr);
    for (std::size_t a = 0; a < s.gradients.size(); ++a) s.gradients[a].push_back(gradient[a]);
  }
  return s;
}

struct Restricted {
  double log_likelihood = -INFINITY;
  double noise = 0;
};

// Of V = noise (ratio K + diag), the noise at its best value.
Restricted restricted_likelihood(const Sample& s, const Symmetric& covariances, double ratio) {
  const int n = covariances.size();
  Symmetric v(n);
  for (int j = 0; j < n; ++j)
    for (int i = j; i < n; ++i)
      v.column(j)[i] = ratio * covariances.column(j)[i] + (i == j ? s.noise[static_cast<std::size_t>(i)] : 0);
  if (!factorise(v)) return {};
  double log_determinant = 0;
  for (int j = 0; j < n; ++j) log_determinant += 2 * std::log(v.column(j)[j]);
  // Gram and Schmidt on L^-1 J: what is left of L^-1 r is what the law cannot follow.
  std::vector<double> rest = forward(v, s.residual);
  std::vector<std::vector<double>> base;
  for (const std::vector<double>& column : s.gradients) {
    std::vector<double> q = forward(v, column);
    const double before = dot(q, q);
    for (const std::vector<double>& other : base) {
      const double share = dot(q, other);
      for (std::size_t i = 0; i < q.size(); ++i) q[i] -= share * other[i];
    }
    const double left = dot(q, q);
    if (!(left > 1e-18 * before)) continue;  // a parameter that the others already are
    log_determinant += std::log(left);
    for (double& value : q) value /= std::sqrt(left);
    const double share = dot(rest, q);
    for (std::size_t i = 0; i < q.size(); ++i) rest[i] -= share * q[i];
    base.push_back(std::move(q));
  }
  const double degrees = n - static_cast<double>(base.size());
  if (degrees < 1) return {};
  const double noise = std::max(dot(rest, rest) / degrees, 1e-300);
  return {-0.5 * (log_determinant + degrees * std::log(noise)), noise};
}

void add_outer(const Vector& gradient, double weight, int p, Matrix& sum) {
  for (int a = 0; a < p; ++a)
    for (int b = 0; b < p; ++b)
      at(sum, a, b) += weight * gradient[static_cast<std::size_t>(a)] * gradient[static_cast<std::size_t>(b)];
}

}  // namespace

Discrepancy estimate_discrepancy(const Points& points, std::span<const double> weights, const Vector& theta) {
  const Sample s = sample_of(points, weights, theta);
  const auto n = static_cast<int>(s.residual.size());
  Place middle(s.x.front().size(), 0.0);
  for (const Place& x : s.x)
    for (std::size_t v = 0; v < x.size(); ++v) middle[v] += x[v] / n;
  std::vector<Place> centred = s.x;
  for (Place& x : centred)
    for (std::size_t v = 0; v < x.size(); ++v) x[v] -= middle[v];
  Symmetric covariances(n);
  for (int j = 0; j < n; ++j)
    for (int i = j; i < n; ++i)
      covariances.column(j)[i] =
          covariance(centred[static_cast<std::size_t>(i)], centred[static_cast<std::size_t>(j)]);
  const Restricted none = restricted_likelihood(s, covariances, 0);
  const auto loss_at = [&](double log_ratio) {
    return -restricted_likelihood(s, covariances, std::exp(log_ratio)).log_likelihood;
  };
  const double log_ratio = minimum_between(std::log(1e-4), std::log(1e4), loss_at, 0.05);
  const Restricted best = restricted_likelihood(s, covariances, std::exp(log_ratio));
  if (!(best.log_likelihood > none.log_likelihood)) return {0, none.noise, 0};
  return {best.noise * std::exp(log_ratio), best.noise, 2 * (best.log_likelihood - none.log_likelihood)};
}

PredictionError::PredictionError(const Points& points, std::span<const double> weights, Huber huber,
                                 const Vector& theta, const Discrepancy& discrepancy,
                                 std::vector<double> log_x)
    : points_(points), theta_(theta), discrepancy_(discrepancy), target_(centred(std::move(log_x))) {
  points.law().form->log_loss(theta, target_.data(), &gradient_, nullptr);
  const std::vector<double> r = residuals(points, theta);
  for (int i = 0; i < points.size(); ++i) {
    const double w = weights[static_cast<std::size_t>(i)];
    if (w == 0) continue;
    const double size = std::abs(r[static_cast<std::size_t>(i)]);
    runs_.push_back(run_at(Place(points.log_x(i), points.log_x(i) + target_.size()),
                           size > huber.delta ? w * huber.delta / size : w, w));
    add_outer(runs_.back().gradient, runs_.back().weight, points.law().parameter_count(), normal_);
  }
  for (const Run& a : runs_)
    for (const Run& b : runs_) covariances_.push_back(covariance(a.from_target, b.from_target));
}

Place PredictionError::centred(Place log_x) const {
  for (std::size_t v = 0; v < log_x.size(); ++v) log_x[v] -= points_.centres()[v];
  return log_x;
}

PredictionError::Run PredictionError::run_at(const Place& centred_x, double weight,
                                             double noise_weight) const {
  Run run{centred_x, {}, weight, discrepancy_.noise / noise_weight};
  points_.law().form->log_loss(theta_, centred_x.data(), &run.gradient, nullptr);
  for (std::size_t v = 0; v < target_.size(); ++v) run.from_target[v] -= target_[v];
  return run;
}

// The prediction moves by h'(delta + noise), h = W J (J'WJ)^-1 g; delta is 0 at the target.
double PredictionError::variance_with(const std::vector<Place>& more) const {
  const int p = points_.law().parameter_count();
  std::vector<Run> added;
  Matrix normal = normal_;
  for (const Place& x : more) {
    added.push_back(run_at(centred(x), 1, 1));
    add_outer(added.back().gradient, 1, p, normal);
  }
  Vector solved{};
  if (!solve_positive(normal, gradient_, p, solved)) return INFINITY;
  const auto pull = [&](const Run& run) {
    double sum = 0;
    for (std::size_t a = 0; a < static_cast<std::size_t>(p); ++a) sum += run.gradient[a] * solved[a];
    return run.weight * sum;
  };
  std::vector<double> h;
  double noise = 0, departures = 0;
  for (const std::vector<Run>* list : {&runs_, static_cast<const std::vector<Run>*>(&added)})
    for (const Run& run : *list) {
      h.push_back(pull(run));
      noise += h.back() * h.back() * run.noise;
    }
  const std::size_t n = runs_.size();
  for (std::size_t i = 0; i < n; ++i)
    departures += h[i] * std::inner_product(h.begin(), h.begin() + static_cast<std::ptrdiff_t>(n),
                                            covariances_.begin() + static_cast<std::ptrdiff_t>(i * n), 0.0);
  for (std::size_t k = 0; k < added.size(); ++k) {
    const double own = h[n + k];
    for (std::size_t i = 0; i < n; ++i)
      departures += 2 * own * h[i] * covariance(added[k].from_target, runs_[i].from_target);
    for (std::size_t j = 0; j < added.size(); ++j)
      departures += own * h[n + j] * covariance(added[k].from_target, added[j].from_target);
  }
  return noise + discrepancy_.tau_squared * departures;
}

}  // namespace loglog::fit
