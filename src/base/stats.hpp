// Small statistics on plain numbers.
#pragma once
#include <span>
#include <vector>

namespace loglog {

double mean(std::span<const double> x);            // NaN when empty
double variance(std::span<const double> x);        // n - 1 in the denominator; NaN below two values
double quantile(std::vector<double> x, double p);  // linear between order statistics (type 7); NaN when empty
inline double median(std::vector<double> x) {
  return quantile(std::move(x), 0.5);
}

// Regularised incomplete beta function I_x(a, b), by Lentz's continued fraction; absolute error below 1e-13.
double incomplete_beta(double a, double b, double x);
double student_t_cdf(double t, double degrees_of_freedom);
double student_t_quantile(double p, double degrees_of_freedom);  // 0 < p < 1
double f_quantile(double p, double df1, double df2);             // 0 < p < 1
double normal_quantile(double p);                                // 0 < p < 1

}  // namespace loglog
