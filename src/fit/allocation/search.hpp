// Roots and minima of functions of one number.
#pragma once
#include <algorithm>
#include <cmath>

namespace loglog::fit {

// Where f, which rises through 0 between low and high, is 0.
template <class Function>
double root_between(double low, double high, const Function& f) {
  for (int i = 0; i < 200 && high - low > 1e-13 * std::max(1.0, std::abs(low)); ++i) {
    const double middle = (low + high) / 2;
    (f(middle) < 0 ? low : high) = middle;
  }
  return (low + high) / 2;
}

// Where f is least between low and high, by golden sections, where it has one minimum there. A minimum is flat: its place is known to the root
// of the precision of f.
template <class Function>
double minimum_between(double low, double high, const Function& f, double width = 1e-9) {
  constexpr double kGolden = 0.6180339887498949;
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
  double fa = f(a), fb = f(b);
  while (high - low > width) {
    if (fa < fb) {
      high = b, b = a, fb = fa;
      a = high - kGolden * (high - low), fa = f(a);
    } else {
      low = a, a = b, fa = fb;
      b = low + kGolden * (high - low), fb = f(b);
    }
  }
  return (low + high) / 2;
}

}  // namespace loglog::fit
