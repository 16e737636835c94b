#include "base/stats.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "base/check.hpp"

namespace loglog {

double mean(std::span<const double> x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double variance(std::span<const double> x) {
  if (x.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const double m = mean(x);
  double sum = 0.0;
  for (const double v : x) sum += (v - m) * (v - m);
  return sum / static_cast<double>(x.size() - 1);
}

double quantile(std::vector<double> x, double p) {
  if (x.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(x.begin(), x.end());
  const double position = p * static_cast<double>(x.size() - 1);
  const auto low = static_cast<std::size_t>(position);
  const std::size_t high = std::min(low + 1, x.size() - 1);
  return x[low] + (position - static_cast<double>(low)) * (x[high] - x[low]);
}

namespace {

// Continued fraction of the incomplete beta function (Numerical Recipes form of DLMF 8.17.22), modified Lentz.
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto guard = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1.0;
  double d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
  double result = d;
  for (int m = 1; m <= 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1.0 / guard(1.0 + even * d);
    c = guard(1.0 + even / c);
    result *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1.0 / guard(1.0 + odd * d);
    c = guard(1.0 + odd / c);
    result *= d * c;
    if (std::abs(d * c - 1.0) < 1e-15) break;
  }
  return result;
}

// Inverse of an increasing cdf by bisection: slow, certain, and never the bottleneck of a fit.
template <class Cdf>
double invert(Cdf cdf, double p, double low, double high) {
  for (int i = 0; i < 200 && high - low > 1e-15 * std::max(std::abs(low), std::abs(high)); ++i) {
    const double middle = 0.5 * (low + high);
    (cdf(middle) < p ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  LOGLOG_CHECK(a > 0 && b > 0, "a = {}, b = {}", a, b);
  if (x <= 0.0) return 0.0;
  if (x >= 1.0) return 1.0;
  const double log_front =
      std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  // The fraction converges fast below the mean of the distribution; above it the symmetry I_x(a,b) = 1 - I_{1-x}(b,a).
  if (x < (a + 1.0) / (a + b + 2.0)) return std::exp(log_front) * beta_fraction(a, b, x) / a;
  return 1.0 - std::exp(log_front) * beta_fraction(b, a, 1.0 - x) / b;
}

double student_t_cdf(double t, double df) {
  const double tail = 0.5 * incomplete_beta(0.5 * df, 0.5, df / (df + t * t));
  return t < 0.0 ? tail : 1.0 - tail;
}

double student_t_quantile(double p, double df) {
  LOGLOG_CHECK(p > 0.0 && p < 1.0 && df > 0.0, "p = {}, df = {}", p, df);
  if (p < 0.5) return -student_t_quantile(1.0 - p, df);
  double high = 1.0;
  while (student_t_cdf(high, df) < p) high *= 2.0;
  return invert([&](double t) { return student_t_cdf(t, df); }, p, 0.0, high);
}

double f_quantile(double p, double df1, double df2) {
  LOGLOG_CHECK(p > 0.0 && p < 1.0 && df1 > 0.0 && df2 > 0.0, "p = {}, df = {}, {}", p, df1, df2);
  const auto cdf = [&](double f) { return incomplete_beta(0.5 * df1, 0.5 * df2, df1 * f / (df1 * f + df2)); };
  double high = 1.0;
  while (cdf(high) < p) high *= 2.0;
  return invert(cdf, p, 0.0, high);
}

double normal_quantile(double p) {
  LOGLOG_CHECK(p > 0.0 && p < 1.0, "p = {}", p);
  return invert([](double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }, p, -40.0, 40.0);
}

}  // namespace loglog
