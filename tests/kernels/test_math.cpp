// The elementary functions of one ISA, in ULP against float64, over the whole range of floats and at special values.
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// Also with low bits, which arithmetic on bits could turn into a number.
const float kNans[] = {kNan, std::bit_cast<float>(0x7fc00001u), std::bit_cast<float>(0xffc0cafeu)};

using Function = void (*)(float* out, const float* in, Index n) noexcept;

float at(Function f, float x) {
  float y;
  f(&y, &x, 1);
  return y;
}

// `count` floats of each sign, spread evenly over all bit patterns: as many below 1 as above, subnormals included.
std::vector<float> floats_of_all_sizes(int count) {
  std::vector<float> x;
  for (int i = 0; i < count; ++i) {
    const auto bits = static_cast<std::uint32_t>(0x7f800000ull * i / count);
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  return x;
}

std::vector<float> evenly(float low, float high, int count) {
  std::vector<float> x;
  for (int i = 0; i <= count; ++i)
    x.push_back(low + (high - low) * static_cast<float>(i) / static_cast<float>(count));
  return x;
}

template <class Exact>
void require_ulp(Function f, const std::vector<float>& x, Exact&& exact, double bound) {
  std::vector<float> y(x.size(), kNan);
  f(y.data(), x.data(), static_cast<Index>(x.size()));
  REQUIRE_FALSE(x.empty());
  double worst = -1;
  std::size_t worst_at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulp_error(y[i], exact(double(x[i])));
    if (error > worst) worst = error, worst_at = i;
  }
  CAPTURE(x[worst_at], y[worst_at], exact(double(x[worst_at])), worst);
  REQUIRE(worst <= bound);
}

const Rowwise& row() {
  return *test_table().rowwise;
}
double exact_exp(double x) {
  return std::exp(x);
}
double exact_log(double x) {
  return std::log(x);
}
double exact_tanh(double x) {
  return std::tanh(x);
}

}  // namespace

TEST_CASE("exp is within 2 ULP, from its overflow down through the subnormals") {
  require_ulp(row().exp, evenly(-104.0f, 89.0f, 100003), exact_exp, 2.0);
  require_ulp(row().exp, floats_of_all_sizes(20011), exact_exp, 2.0);
  REQUIRE(at(row().exp, 0.0f) == 1.0f);
  REQUIRE(at(row().exp, -0.0f) == 1.0f);
  REQUIRE(at(row().exp, kInfinity) == kInfinity);
  REQUIRE(at(row().exp, -kInfinity) == 0.0f);
  REQUIRE(at(row().exp, 1e30f) == kInfinity);
  REQUIRE(at(row().exp, -1e30f) == 0.0f);
  for (const float nan : kNans) REQUIRE(std::isnan(at(row().exp, nan)));
}

TEST_CASE("softmax's exp2 is within 2 ULP above -126 and 0 below, and exact for whole numbers") {
  require_ulp(
      row().exp2_softmax, evenly(-126.0f, 127.0f, 100003), [](double x) { return std::exp2(x); }, 2.0);
  for (int n = -126; n < 128; ++n)
    REQUIRE(at(row().exp2_softmax, static_cast<float>(n)) == std::ldexp(1.0f, n));
  for (const float t : {-126.6f, -127.0f, -128.0f, -1e30f, -kInfinity})
    REQUIRE(at(row().exp2_softmax, t) == 0.0f);
  for (const float nan : kNans) REQUIRE(std::isnan(at(row().exp2_softmax, nan)));
}

TEST_CASE("exp2 is within 2 ULP, exact for whole numbers, infinite at its end") {
  require_ulp(
      row().exp2, evenly(-126.0f, 127.99f, 100003), [](double x) { return std::exp2(x); }, 2.0);
  for (int n = -126; n < 128; ++n) REQUIRE(at(row().exp2, static_cast<float>(n)) == std::ldexp(1.0f, n));
  REQUIRE(at(row().exp2, 128.0f) == kInfinity);
  REQUIRE(std::isnan(at(row().exp2, kNan)));
}

TEST_CASE("log is within 2 ULP, also near 1 and for subnormals") {
  auto positive = floats_of_all_sizes(20011);
  std::erase_if(positive, [](float x) { return std::signbit(x); });
  require_ulp(row().log, positive, exact_log, 2.0);
  require_ulp(row().log, evenly(0.4f, 2.5f, 100003), exact_log, 2.0);
  require_ulp(row().log, {0x1p-149f, 0x1p-127f, 0x1p-126f, std::numeric_limits<float>::max()}, exact_log,
              2.0);
  REQUIRE(at(row().log, 1.0f) == 0.0f);
  REQUIRE(at(row().log, 0.0f) == -kInfinity);
  REQUIRE(at(row().log, -0.0f) == -kInfinity);
  REQUIRE(at(row().log, kInfinity) == kInfinity);
  // Between -0.94 and 0 the bits, taken as an integer, lie so low that a signed difference overflows (UBSan).
  for (const float x : {-1.0f, -0.5f, -0x1p-100f, -0x1p-149f, -kInfinity, kNan}) {
    REQUIRE(std::isnan(at(row().log, x)));
  }
}

TEST_CASE("tanh is within 2 ULP and odd") {
  require_ulp(row().tanh, evenly(-10.0f, 10.0f, 100003), exact_tanh, 2.0);
  require_ulp(row().tanh, floats_of_all_sizes(20011), exact_tanh, 2.0);
  for (const float x : {0.0f, 0.3f, 2.0f, 50.0f}) REQUIRE(at(row().tanh, -x) == -at(row().tanh, x));
  REQUIRE(at(row().tanh, kInfinity) == 1.0f);
  REQUIRE(std::isnan(at(row().tanh, kNan)));
}

TEST_CASE("a partial vector gives what a whole one gives") {
  const std::vector<float> x = evenly(-3.0f, 3.0f, 66);
  std::vector<float> whole(x.size());
  row().exp(whole.data(), x.data(), static_cast<Index>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(at(row().exp, x[i]) == whole[i]);
}
