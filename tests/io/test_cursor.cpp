#include "io/cursor.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using Catch::Contains;

TEST_CASE("numbers and bytes in turn, and never beyond the end") {
  const std::byte bytes[] = {std::byte{0x78}, std::byte{0x56}, std::byte{0x34}, std::byte{0x12},
                             std::byte{0xff}, std::byte{1},    std::byte{2}};
  io::Cursor cursor(bytes, "F");
  CHECK(cursor.number<std::uint32_t>("a") == 0x12345678);
  CHECK(cursor.number<std::int8_t>("b") == -1);
  CHECK(cursor.offset() == 5);
  CHECK(cursor.remaining() == 2);
  CHECK_THROWS_WITH(cursor.number<std::uint64_t>("c"),
                    Contains("'F': c at byte 5: 8 bytes are expected, the file has 2 more"));
  CHECK(cursor.offset() == 5);  // nothing was taken
  CHECK(cursor.take(2, "d")[1] == std::byte{2});
  CHECK(cursor.take(0, "e").empty());
  CHECK_THROWS_AS(cursor.take(1, "f"), InputError);
  CHECK_THROWS_AS(cursor.take(~std::uint64_t{0}, "f"), InputError);
  CHECK_THROWS_WITH(cursor.reject("g", "wrong"), Contains("'F': g at byte 7: wrong"));
}

TEST_CASE("products that overflow are told") {
  std::uint64_t product = 0;
  CHECK(io::multiply_checked(1u << 31, 2, product));
  CHECK(product == std::uint64_t{1} << 32);
  CHECK_FALSE(io::multiply_checked(std::uint64_t{1} << 32, std::uint64_t{1} << 32, product));
}
