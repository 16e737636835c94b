#include "fit/power_sum.hpp"

#include <algorithm>
#include <cmath>

#include "fit/coefficients.hpp"

namespace loglog::fit {
namespace {

constexpr double kSmallestExponent = 1e-3;
constexpr double kLargestExponent = 5.0;
constexpr double kFloorDepth = 25.0;  // E may fall to exp(-25) of the lowest loss before it counts as absent
constexpr int kGrid = 12;

double element(const Vector& v, int i) {
  return v[static_cast<std::size_t>(i)];
}

}  // namespace

PowerSum::PowerSum(std::vector<std::string> variables, std::vector<Term> terms, int exponents, bool outer)
    : variables_(std::move(variables)), terms_(std::move(terms)), exponents_(exponents), outer_(outer) {}

int PowerSum::floor_index() const {
  for (int k = 0; k < coefficient_count(); ++k) {
    if (terms_[static_cast<std::size_t>(k)].empty() && !outer_) return k;
  }
  return -1;
}

std::string PowerSum::parameter_name(int index) const {
  if (index == floor_index()) return "E";
  if (index < coefficient_count()) return "coefficient " + std::to_string(index + 1);
  if (outer_ && index == parameter_count() - 1) return "outer exponent";
  const int exponent = index - coefficient_count();
  for (const Term& term : terms_) {
    for (const Factor& factor : term) {
      if (factor.exponent == exponent)
        return "exponent of " + variables_[static_cast<std::size_t>(factor.variable)];
    }
  }
  return "exponent";
}

double PowerSum::log_loss(const Vector& theta, const double* log_x, Vector* gradient, Matrix* hessian) const {
  const int count = coefficient_count();
  const int size = parameter_count();
  const int inner = count + exponents_;
  std::array<double, kMaxParameters> share{};  // first the log of each term, then its share of the sum
  double largest = -INFINITY;
  for (int k = 0; k < count; ++k) {
    double value = element(theta, k);
    for (const Factor& factor : terms_[static_cast<std::size_t>(k)]) {
      const double power = factor.exponent == kFixedOne ? 1.0 : element(theta, count + factor.exponent);
      value -= power * log_x[factor.variable];
    }
    share[static_cast<std::size_t>(k)] = value;
    largest = std::max(largest, value);
  }
  double sum = 0;
  for (int k = 0; k < count; ++k) sum += std::exp(share[static_cast<std::size_t>(k)] - largest);
  const double log_sum = largest + std::log(sum);
  const double power = outer_ ? element(theta, size - 1) : 1.0;
  if (gradient == nullptr) return power * log_sum;

  // d ln(sum) / d theta = sum_k share_k v_k, with v_k the derivative of the k-th log term, which is constant.
  Vector& g = *gradient;
  g.fill(0);
  std::array<Vector, kMaxParameters> v{};
  for (int k = 0; k < count; ++k) {
    const auto index = static_cast<std::size_t>(k);
    share[index] = std::exp(share[index] - log_sum);
    v[index][index] = 1;
    for (const Factor& factor : terms_[index]) {
      if (factor.exponent != kFixedOne) {
        v[index][static_cast<std::size_t>(count + factor.exponent)] -= log_x[factor.variable];
      }
    }
    for (int i = 0; i < inner; ++i) g[static_cast<std::size_t>(i)] += share[index] * element(v[index], i);
  }
  if (hessian != nullptr) {
    hessian->fill(0);
    for (int i = 0; i < inner; ++i) {
      for (int j = 0; j <= i; ++j) {
        double value = -element(g, i) * element(g, j);
        for (int k = 0; k < count; ++k) {
          const auto index = static_cast<std::size_t>(k);
          value += share[index] * element(v[index], i) * element(v[index], j);
        }
        at(*hessian, i, j) = at(*hessian, j, i) = power * value;
      }
    }
    if (outer_) {  // L = sum^g: the mixed derivative is that of ln(sum), and ln L is linear in g
      for (int i = 0; i < inner; ++i) at(*hessian, size - 1, i) = at(*hessian, i, size - 1) = element(g, i);
    }
  }
  if (outer_) {
    for (int i = 0; i < inner; ++i) g[static_cast<std::size_t>(i)] *= power;
    g[static_cast<std::size_t>(size - 1)] = log_sum;
  }
  return power * log_sum;
}

// As log_loss(), with v_k = d ln(term k) / d theta: 1 at its coefficient and -ln x at its exponents, so most products of these are zero and
// are left out. Points are the inner loops.
void PowerSum::log_losses(const Vector& theta, LossBatch& batch) const {
  const int size = parameter_count();
  if (outer_) return LawForm::log_losses(theta, batch);
  const int count = coefficient_count();
  const auto points = static_cast<std::size_t>(batch.count);
  std::array<LossBatch::Lane, kMaxParameters> share;
  LossBatch::Lane largest;
  largest.fill(-INFINITY);
  for (int k = 0; k < count; ++k) {
    LossBatch::Lane& term = share[static_cast<std::size_t>(k)];
    for (std::size_t i = 0; i < points; ++i) term[i] = element(theta, k);
    for (const Factor& factor : terms_[static_cast<std::size_t>(k)]) {
      const double power = factor.exponent == kFixedOne ? 1.0 : element(theta, count + factor.exponent);
      for (std::size_t i = 0; i < points; ++i) term[i] -= power * batch.log_x[i][factor.variable];
    }
    for (std::size_t i = 0; i < points; ++i) largest[i] = std::max(largest[i], term[i]);
  }
  LossBatch::Lane sum{};
  for (std::size_t k = 0; k < static_cast<std::size_t>(count); ++k)
    for (std::size_t i = 0; i < points; ++i) sum[i] += share[k][i] = std::exp(share[k][i] - largest[i]);
  for (std::size_t i = 0; i < points; ++i) batch.value[i] = largest[i] + std::log(sum[i]);
  for (std::size_t i = 0; i < points; ++i) sum[i] = 1 / sum[i];
  for (std::size_t k = 0; k < static_cast<std::size_t>(count); ++k)
    for (std::size_t i = 0; i < points; ++i) share[k][i] *= sum[i];

  for (int a = 0; a < size; ++a) batch.gradient[static_cast<std::size_t>(a)].fill(0);
  const int pairs = batch.with_hessian ? size * (size + 1) / 2 : 0;
  for (std::size_t pair = 0; pair < static_cast<std::size_t>(pairs); ++pair) batch.hessian[pair].fill(0);
  for (int k = 0; k < count; ++k) add_term(k, share[static_cast<std::size_t>(k)], batch);
  if (!batch.with_hessian) return;
  std::size_t pair = 0;
  for (std::size_t a = 0; a < static_cast<std::size_t>(size); ++a)
    for (std::size_t b = 0; b <= a; ++b, ++pair)
      for (std::size_t i = 0; i < points; ++i)
        batch.hessian[pair][i] -= batch.gradient[a][i] * batch.gradient[b][i];
}

// share_k v_k into the gradient, share_k v_k v_k' into the Hessian. An exponent that stands twice in a term moves both factors.
void PowerSum::add_term(int k, const LossBatch::Lane& share, LossBatch& batch) const {
  const auto points = static_cast<std::size_t>(batch.count);
  const int count = coefficient_count();
  std::array<int, kMaxParameters> moved{};
  std::array<LossBatch::Lane, kMaxParameters> slope;
  std::size_t size = 1;
  moved[0] = k;
  slope[0].fill(1);
  for (const Factor& factor : terms_[static_cast<std::size_t>(k)]) {
    if (factor.exponent == kFixedOne) continue;
    const int index = count + factor.exponent;
    const auto place =
        static_cast<std::size_t>(std::find(moved.begin(), moved.begin() + size, index) - moved.begin());
    if (place == size) moved[size] = index, slope[size++].fill(0);
    for (std::size_t i = 0; i < points; ++i) slope[place][i] -= batch.log_x[i][factor.variable];
  }
  for (std::size_t a = 0; a < size; ++a) {
    LossBatch::Lane shared;
    LossBatch::Lane& gradient = batch.gradient[static_cast<std::size_t>(moved[a])];
    for (std::size_t i = 0; i < points; ++i) gradient[i] += shared[i] = share[i] * slope[a][i];
    for (std::size_t b = 0; batch.with_hessian && b <= a; ++b) {
      const int high = std::max(moved[a], moved[b]), low = std::min(moved[a], moved[b]);
      LossBatch::Lane& hessian = batch.hessian[static_cast<std::size_t>(high * (high + 1) / 2 + low)];
      for (std::size_t i = 0; i < points; ++i) hessian[i] += shared[i] * slope[b][i];
    }
  }
}

Vector PowerSum::shifted(Vector theta, std::span<const double> centres, double sign) const {
  const int count = coefficient_count();
  for (int k = 0; k < count; ++k) {
    for (const Factor& factor : terms_[static_cast<std::size_t>(k)]) {
      const double power = factor.exponent == kFixedOne ? 1.0 : element(theta, count + factor.exponent);
      theta[static_cast<std::size_t>(k)] += sign * power * centres[static_cast<std::size_t>(factor.variable)];
    }
  }
  return theta;
}

Vector PowerSum::restore(const Vector& theta, std::span<const double> centres) const {
  return shifted(theta, centres, 1.0);
}

Vector PowerSum::centre(const Vector& theta, std::span<const double> centres) const {
  return shifted(theta, centres, -1.0);
}

Bounds PowerSum::bounds(const Points& points) const {
  Bounds bounds;
  bounds.low.fill(-1e3);
  bounds.high.fill(1e3);
  for (int i = coefficient_count(); i < parameter_count(); ++i) {
    bounds.low[static_cast<std::size_t>(i)] = kSmallestExponent;
    bounds.high[static_cast<std::size_t>(i)] = kLargestExponent;
  }
  if (const int floor = floor_index(); floor >= 0) {
    bounds.low[static_cast<std::size_t>(floor)] = points.lowest_log_loss() - kFloorDepth;
    bounds.high[static_cast<std::size_t>(floor)] = points.lowest_log_loss() + 1.0;
  }
  return bounds;
}

Vector PowerSum::start_at(const Points& points, std::span<const double> weights,
                          const Vector& exponents) const {
  const int count = coefficient_count();
  const double power = outer_ ? element(exponents, parameter_count() - 1) : 1.0;
  const Vector coefficients = positive_coefficients(weights, count, [&](int i) {
    LinearRow row;
    for (int k = 0; k < count; ++k) {
      double log_term = -points.log_loss(i) / power;
      for (const Factor& factor : terms_[static_cast<std::size_t>(k)]) {
        const double p = factor.exponent == kFixedOne ? 1.0 : element(exponents, count + factor.exponent);
        log_term -= p * points.log_x(i)[factor.variable];
      }
      row.terms[static_cast<std::size_t>(k)] = std::exp(log_term);
    }
    return row;
  });
  Vector theta = exponents;
  // A coefficient that least squares put at zero starts at a thousandth of the loss, where it can still be felt.
  const double tiny = std::exp(points.lowest_log_loss() / power) * 1e-3;
  for (int k = 0; k < count; ++k)
    theta[static_cast<std::size_t>(k)] = std::log(std::max(element(coefficients, k), tiny));
  return theta;
}

std::vector<Vector> PowerSum::starts(const Points& points, std::span<const double> weights) const {
  constexpr double kFirst = 0.02, kLast = 2.0;
  const int axes = parameter_count() - coefficient_count();
  int total = 1;
  for (int axis = 0; axis < axes; ++axis) total *= kGrid;
  std::vector<Vector> starts;
  for (int cell = 0; cell < total; ++cell) {
    Vector exponents{};
    int rest = cell;
    for (int axis = 0; axis < axes; ++axis, rest /= kGrid) {
      const double position = static_cast<double>(rest % kGrid) / (kGrid - 1);
      exponents[static_cast<std::size_t>(coefficient_count() + axis)] =
          kFirst * std::pow(kLast / kFirst, position);
    }
    starts.push_back(start_at(points, weights, exponents));
  }
  return starts;
}

}  // namespace loglog::fit
