// Curves through the points of one budget.
#pragma once
#include <optional>
#include <span>
#include <vector>

namespace loglog::fit {

// Weighted least-squares parabola y = p0 + p1 u + p2 u^2 with u = x - centre.
struct Parabola {
  double p0, p1, p2, centre;
  double operator()(double x) const;
  double vertex() const { return centre - p1 / (2 * p2); }
};
// Nothing when fewer than three distinct x carry weight.
std::optional<Parabola> fit_parabola(std::span<const double> x, std::span<const double> y,
                                     std::span<const double> w);

// Akima's piecewise cubic (1970), ends extrapolated as in scipy's Akima1DInterpolator. x strictly increasing,
// at least three points; two points of slack at each end are extrapolated parabolically.
class Akima {
 public:
  Akima(std::vector<double> x, std::vector<double> y);
  double operator()(double x) const;

 private:
  std::vector<double> x_;
  std::vector<double> y_;
  std::vector<double> slope_;
};

}  // namespace loglog::fit
