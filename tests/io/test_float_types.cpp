// Half precision by its definition, for all 65,536 numbers, and rounding to it between all neighbours.
#include "io/float_types.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::io;

namespace {

// IEEE 754-2019, section 3.4: (-1)^s 2^(e - 15) 1.f, subnormal 2^-14 0.f.
double half_by_definition(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

constexpr bool is_finite(std::uint16_t bits) {
  return (bits & 0x7c00) != 0x7c00;
}

std::vector<std::byte> put(Dtype dtype, const std::vector<float>& values) {
  std::vector<std::byte> all;
  put_floats(dtype, values,
             [&](std::span<const std::byte> piece) { all.insert(all.end(), piece.begin(), piece.end()); });
  return all;
}

}  // namespace

TEST_CASE("every half is the float of its value, and goes back to itself") {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float x = from_half(bits);
    if (is_finite(bits)) {
      REQUIRE(double(x) == half_by_definition(bits));
      REQUIRE(std::signbit(x) == ((bits & 0x8000) != 0));
      REQUIRE(to_half(x) == bits);
    } else if ((bits & 0x3ff) == 0) {
      REQUIRE(std::isinf(x));
      REQUIRE(to_half(x) == bits);
    } else {
      REQUIRE(std::isnan(x));
      REQUIRE(to_half(x) == (bits | 0x200));  // quiet
    }
  }
}

TEST_CASE("what lies between two halves goes to the nearer one, from the middle to the even one") {
  for (std::uint16_t low = 0; is_finite(low + 1); ++low) {
    const float a = from_half(low), b = from_half(low + 1), middle = a + (b - a) / 2;  // exact in float32
    const auto high = static_cast<std::uint16_t>(low + 1), even = (low & 1) == 0 ? low : high;
    REQUIRE(to_half(std::nextafter(middle, a)) == low);
    REQUIRE(to_half(middle) == even);
    REQUIRE(to_half(std::nextafter(middle, b)) == high);
    REQUIRE(to_half(-middle) == (even | 0x8000));
  }
  CHECK(to_half(65519.996f) == 0x7bff);
  CHECK(to_half(65520.0f) == 0x7c00);
  CHECK(to_half(1e30f) == 0x7c00);
  CHECK(to_half(1e-30f) == 0);
  CHECK(to_half(-1e-30f) == 0x8000);
}

TEST_CASE("values go out and come in, of any number and from any address") {
  for (const std::size_t count : {0, 1, 16383, 16384, 16385, 40000}) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i)
      values[i] = static_cast<float>(static_cast<int>(i % 255) - 127);  // exact in all
    for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16}) {
      std::vector<std::byte> bytes = put(dtype, values);
      REQUIRE(bytes.size() == count * (dtype == Dtype::f32 ? 4 : 2));
      bytes.insert(bytes.begin(), std::byte{7});  // now off every boundary
      std::vector<float> back(count, 9.0f);
      widen(dtype, std::span(bytes).subspan(1), back);
      REQUIRE(back == values);
    }
  }
  std::vector<float> two(2);
  CHECK_THROWS_AS(widen(Dtype::f16, std::vector<std::byte>(3), two), ContractError);
  CHECK_THROWS_AS(widen(Dtype::other, std::vector<std::byte>(8), two), ContractError);
  for (const Dtype whole : {Dtype::i8, Dtype::u8, Dtype::i32, Dtype::i64}) {
    CHECK_FALSE(is_float(whole));
    CHECK_THROWS_AS(widen(whole, std::vector<std::byte>(2 * bytes_of(whole)), two), ContractError);
    CHECK_THROWS_AS(put(whole, two), ContractError);
  }
}

TEST_CASE("sizes of an element, by type") {
  for (const auto& [dtype, bytes] : {std::pair{Dtype::i8, 1},
                                     {Dtype::u8, 1},
                                     {Dtype::f16, 2},
                                     {Dtype::bf16, 2},
                                     {Dtype::f32, 4},
                                     {Dtype::i32, 4},
                                     {Dtype::i64, 8}}) {
    CHECK(bytes_of(dtype) == static_cast<std::size_t>(bytes));
    CHECK(is_float(dtype) == (dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16));
  }
  CHECK_THROWS_AS(bytes_of(Dtype::other), ContractError);
}
