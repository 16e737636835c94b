// The only comparator of the tests. A test states the exact value and a derived bound per element; nothing
// here has a tolerance of its own.
//
//   REQUIRE(compare(n, [&](Index i) { return Element{actual, expected, bound}; }));
//
// It fails on a NaN that was not expected, on an error above the bound whatever its sign, when nothing was
// compared, and when the bounds are as large as the values, because then any value would pass.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "fmt/format.h"

namespace loglog::testing {

inline constexpr double kUnitRoundoff = 0x1p-24;  // u of float32

struct Element {
  double actual;
  double expected;
  double bound = 0.0;  // largest |actual - expected| that passes
};

// Converts to bool and prints its worst element, so that REQUIRE shows why.
struct Verdict {
  bool passed = false;
  std::string report;
  double worst_ratio = 0.0;  // error / bound of the worst element
  double rms_ratio = 0.0;    // root mean square of error / bound, over elements with a bound above 0
  explicit operator bool() const { return passed; }
};
inline std::ostream& operator<<(std::ostream& out, const Verdict& verdict) {
  return out << verdict.report;
}

// |actual - expected|, with equal infinities and equal NaNs at distance 0 and every other non-finite pair at infinity.
inline double error_of(const Element& e) {
  if (std::isnan(e.actual) || std::isnan(e.expected))
    return std::isnan(e.actual) && std::isnan(e.expected) ? 0.0 : std::numeric_limits<double>::infinity();
  if (e.actual == e.expected) return 0.0;
  const double error = std::abs(e.actual - e.expected);
  return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
}

// element(i) gives the i-th of `count` elements.
template <class ElementAt>
Verdict compare(std::int64_t count, ElementAt&& element) {
  if (count <= 0) return {false, "nothing was compared"};
  std::int64_t worst_index = 0, bounded = 0, failures = 0;
  double worst = -1.0, sum_bound = 0.0, sum_value = 0.0, sum_squares = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    const Element e = element(i);
    const double error = error_of(e);
    const bool bad = !(error <= e.bound);  // also when the bound is NaN
    const double ratio = error == 0.0    ? 0.0
                         : e.bound > 0.0 ? error / e.bound
                                         : std::numeric_limits<double>::infinity();
    failures += bad;
    if (ratio > worst || (bad && worst <= 1.0)) {
      worst = ratio;
      worst_index = i;
    }
    if (e.bound > 0.0) {
      sum_squares += ratio * ratio;
      ++bounded;
    }
    sum_bound += e.bound;
    if (std::isfinite(e.expected)) sum_value += std::abs(e.expected);
  }
  const Element e = element(worst_index);
  Verdict verdict{failures == 0, {}, worst, bounded ? std::sqrt(sum_squares / bounded) : 0.0};
  verdict.report = fmt::format(
      "{} of {} elements fail; worst at {}: got {:.9g}, expected {:.9g}, bound {:.3g}, ratio {:.3g}",
      failures, count, worst_index, e.actual, e.expected, e.bound, worst);
  if (!(sum_bound == 0.0 || sum_bound < sum_value)) {
    verdict.passed = false;
    verdict.report +=
        fmt::format("; the bounds (sum {:.3g}) exceed the values (sum {:.3g})", sum_bound, sum_value);
  }
  return verdict;
}

// Two sequences, equal element by element (NaN equals NaN). For integers, exact sums and bitwise promises.
template <class Actual, class Expected>
Verdict compare_equal(const Actual& actual, const Expected& expected) {
  if (actual.size() != expected.size())
    return {false, fmt::format("{} elements against {}", actual.size(), expected.size())};
  return compare(static_cast<std::int64_t>(actual.size()), [&](std::int64_t i) {
    return Element{double(actual[i]), double(expected[i])};
  });
}

// Distance of a float from the exact value, in units of the float spacing at that value. 0 for equal
// infinities and NaNs.
inline double ulp_error(float actual, double exact) {
  const double error = error_of({actual, exact});
  if (error == 0.0 || !std::isfinite(exact)) return error;
  if (std::isinf(actual) && std::abs(exact) > std::numeric_limits<float>::max())
    return 0.0;  // correct overflow
  const int exponent = exact == 0.0 ? -126 : std::max(std::ilogb(exact), -126);
  return error / std::ldexp(1.0, exponent - 23);
}

}  // namespace loglog::testing
