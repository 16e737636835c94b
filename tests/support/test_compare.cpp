// The comparator is tested by planting what it must catch.
#include "support/compare.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/complex_step.hpp"
#include "support/guarded_buffer.hpp"

using namespace loglog::testing;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Verdict compare_one(Element planted, std::int64_t count = 1000, std::int64_t at = 500) {
  return compare(count, [&](std::int64_t i) { return i == at ? planted : Element{1.0, 1.0, 1e-6}; });
}

}  // namespace

TEST_CASE("a value inside its bound passes, outside fails, whatever the sign") {
  REQUIRE(compare_one({1.0 + 0.9e-6, 1.0, 1e-6}));
  REQUIRE(compare_one({1.0 - 0.9e-6, 1.0, 1e-6}));
  REQUIRE_FALSE(compare_one({1.0 + 1.1e-6, 1.0, 1e-6}));
  REQUIRE_FALSE(compare_one({1.0 - 1.1e-6, 1.0, 1e-6}));
  REQUIRE_FALSE(compare_one({-1.0, 1.0, 1e-6}));
}

TEST_CASE("a single bad element in a million is found and named, wherever it stands") {
  for (const std::int64_t at : {0, 500000, 999999}) {
    const Verdict verdict = compare_one({1.001, 1.0, 1e-6}, 1000000, at);
    REQUIRE_FALSE(verdict);
    REQUIRE(verdict.report.find("worst at " + std::to_string(at)) != std::string::npos);
  }
}

TEST_CASE("non-finite values fail unless the same is expected") {
  REQUIRE_FALSE(compare_one({kNan, 1.0, 1e-6}));
  REQUIRE_FALSE(compare_one({1.0, kNan, 1e-6}));
  REQUIRE_FALSE(compare_one({1.0, 1.0 + 1e-9, kNan}));
  REQUIRE_FALSE(compare_one({kInfinity, 1.0, 1e-6}));
  REQUIRE_FALSE(compare_one({kInfinity, -kInfinity, 1e-6}));
  REQUIRE_FALSE(compare_one({kInfinity, 1.0, 1e300}));
  REQUIRE(compare_one({kNan, kNan, 1e-6}));
  REQUIRE(compare_one({-kInfinity, -kInfinity, 1e-6}));
}

TEST_CASE("an empty range and bounds as large as the values prove nothing and fail") {
  REQUIRE_FALSE(compare_one({1, 1}, 0));
  REQUIRE_FALSE(compare(10, [](std::int64_t) { return Element{1.0, 1.0, 1.0}; }));
  REQUIRE_FALSE(compare(10, [](std::int64_t) { return Element{0.0, 0.0, 1e-9}; }));
  REQUIRE(compare(10, [](std::int64_t) { return Element{0.0, 0.0, 0.0}; }));
}

TEST_CASE("compare_equal wants the same size and the same values") {
  REQUIRE(compare_equal(std::vector<float>{1, 2}, std::vector<float>{1, 2}));
  REQUIRE_FALSE(compare_equal(std::vector<float>{1, 2}, std::vector<float>{1, 3}));
  REQUIRE_FALSE(compare_equal(std::vector<float>{1, 2}, std::vector<float>{1, 2, 3}));
  REQUIRE_FALSE(compare_equal(std::vector<float>{}, std::vector<float>{}));
}

TEST_CASE("errors in ULP") {
  REQUIRE(ulp_error(1.0f, 1.0) == 0.0);
  REQUIRE(ulp_error(std::nextafter(1.0f, 2.0f), 1.0) == 1.0);
  REQUIRE(ulp_error(0x1p-149f, 0.0) == 1.0);
  REQUIRE(ulp_error(float(kInfinity), 1e39) == 0.0);
  REQUIRE(ulp_error(float(kInfinity), 1.0) == kInfinity);
  REQUIRE(ulp_error(float(kNan), 1.0) == kInfinity);
}

TEST_CASE("guarded memory starts as NaN and notices a write outside") {
  GuardedMatrix x(3, 5, 2);
  REQUIRE(std::isnan(x(2, 4)));
  x.fill([](auto i, auto j) { return i + j; });
  REQUIRE(x.intact());
  x.data()[5] = 0.0f;  // first gap
  REQUIRE_FALSE(x.intact());
  GuardedMatrix y(3, 5);
  y.data()[-1] = 0.0f;
  REQUIRE_FALSE(y.intact());
  GuardedMatrix z(3, 5, 0, 1);
  z.data()[15] = 0.0f;
  REQUIRE_FALSE(z.intact());
}

TEST_CASE("complex step differentiates to the last digits") {
  const auto f = [](std::span<const Complex> x) { return std::exp(x[0]) * std::sin(x[1]); };
  const std::vector<double> x{0.3, 0.7}, direction{2.0, -1.0};
  const double dx = std::exp(0.3) * std::sin(0.7), dy = std::exp(0.3) * std::cos(0.7);
  const auto partial = gradient(f, x);
  REQUIRE(std::abs(partial[0] - dx) < 1e-15);
  REQUIRE(std::abs(partial[1] - dy) < 1e-15);
  REQUIRE(std::abs(directional_derivative(f, x, direction) - (2 * dx - dy)) < 1e-15);
}
