#include "fit/regression.hpp"

#include "base/check.hpp"

namespace loglog::fit {

Line fit_line(std::span<const double> x, std::span<const double> y, std::span<const double> weight) {
  double total = 0;
  double x_mean = 0;
  double y_mean = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    total += weight[i];
    x_mean += weight[i] * x[i];
    y_mean += weight[i] * y[i];
  }
  x_mean /= total;
  y_mean /= total;
  double xx = 0;
  double xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += weight[i] * (x[i] - x_mean) * (x[i] - x_mean);
    xy += weight[i] * (x[i] - x_mean) * (y[i] - y_mean);
  }
  LOGLOG_CHECK(xx > 0, "a line through {} points needs two distinct x", x.size());
  Line line{xy / xx, y_mean - xy / xx * x_mean, 0};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double r = y[i] - line.intercept - line.slope * x[i];
    line.chi_square += weight[i] * r * r;
  }
  return line;
}

}  // namespace loglog::fit
