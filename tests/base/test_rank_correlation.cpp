#include "base/rank_correlation.hpp"

#include <cmath>

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace loglog;

TEST_CASE("equal numbers share the mean of their ranks") {
  CHECK(ranks_of(std::vector<double>{30, 10, 20, 10}) == std::vector<double>{4, 1.5, 3, 1.5});
  CHECK(ranks_of(std::vector<double>{}).empty());
}

TEST_CASE("rank correlation sees any rising relation and no other") {
  const std::vector<double> x = {1, 2, 3, 4, 5}, cubes = {1, 8, 27, 64, 125}, down = {9, 7, 5, 3, 1};
  CHECK(spearman(x, cubes) == Approx(1));
  CHECK(spearman(x, down) == Approx(-1));
  // 1 - 6 sum d^2 / (n (n^2 - 1)), d = 0, 1, 1, 1, 1 with ranks 1 3 2 5 4.
  CHECK(spearman(x, std::vector<double>{1, 3, 2, 5, 4}) == Approx(1 - 6.0 * 4 / 120));
  CHECK(std::isnan(spearman(x, std::vector<double>{2, 2, 2, 2, 2})));
  CHECK(std::isnan(spearman(std::vector<double>{1}, std::vector<double>{1})));
}

TEST_CASE("a partial correlation is that of what the third number leaves") {
  // x and y are the same cause and noise of their own: correlated, and hardly so once it is known.
  const Rng rng(1, 1);
  std::vector<double> x, y, z;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    z.push_back(rng.normal(3 * i));
    x.push_back(z.back() + rng.normal(3 * i + 1));
    y.push_back(z.back() + rng.normal(3 * i + 2));
  }
  CHECK(spearman(x, y) > 0.4);
  CHECK(std::abs(partial_spearman(x, y, z)) < 6 / std::sqrt(2000.0));  // six standard errors of none
  CHECK(partial_spearman(x, y, z) == partial_spearman(y, x, z));
  CHECK(std::isnan(partial_spearman(x, y, x)));
}

TEST_CASE("a partial correlation of five by hand") {
  // Ranks x 1 2 3 4 5, y 2 1 4 3 5, z 1 3 2 5 4: r_xy = 1 - 6 * 4 / 120 = 0.8, r_xz = 0.8, r_yz = 1 - 6 * 14 / 120 = 0.3.
  const std::vector<double> x = {1, 2, 3, 4, 5}, y = {20, 10, 40, 30, 50}, z = {0.1, 0.3, 0.2, 0.5, 0.4};
  CHECK(spearman(x, y) == Approx(0.8));
  CHECK(spearman(x, z) == Approx(0.8));
  CHECK(spearman(y, z) == Approx(0.3));
  CHECK(partial_spearman(x, y, z) == Approx((0.8 - 0.8 * 0.3) / std::sqrt(0.36 * 0.91)));
}
