#include "base/rng.hpp"

#include <cmath>
#include <vector>

#include "support/catch.hpp"

using namespace loglog;

TEST_CASE("philox4x32-10 gives the published vectors") {
  // kat_vectors of Random123.
  using Words = std::array<std::uint32_t, 4>;
  REQUIRE(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  REQUIRE(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
          Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  REQUIRE(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform and normal have the moments of their names") {
  const Rng rng(7, 3);
  const int n = 200000;
  double sum_u = 0, sum_z = 0, sum_zz = 0;
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform(i);
    REQUIRE((u >= 0.0 && u < 1.0));
    const double z = rng.normal(i);
    sum_u += u;
    sum_z += z;
    sum_zz += z * z;
  }
  REQUIRE(std::abs(sum_u / n - 0.5) < 5 * 0.2887 / std::sqrt(n));
  REQUIRE(std::abs(sum_z / n) < 5 / std::sqrt(n));
  REQUIRE(std::abs(sum_zz / n - 1.0) < 5 * std::sqrt(2.0 / n));
}

TEST_CASE("a permutation visits every value once, in another order per seed") {
  for (const std::uint64_t n : {1u, 2u, 3u, 5u, 64u, 1000u, 4097u}) {
    std::vector<int> seen(n);
    const Permutation permutation(n, 11, 0);
    for (std::uint64_t i = 0; i < n; ++i) {
      REQUIRE(permutation(i) < n);
      ++seen[permutation(i)];
    }
    for (const int count : seen) REQUIRE(count == 1);
  }
  int equal = 0;
  const Permutation first(1000, 1, 0), second(1000, 2, 0);
  for (std::uint64_t i = 0; i < 1000; ++i) equal += first(i) == second(i);
  REQUIRE(equal < 20);
}
