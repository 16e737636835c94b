#include "base/resample.hpp"

#include <cmath>
#include <limits>
#include <set>

#include "base/check.hpp"
#include "base/stats.hpp"
#include "support/catch.hpp"

using namespace loglog;

namespace {

double mean_of_first(const Columns& c) {
  return mean(c[0]);
}

}  // namespace

TEST_CASE("the mean of resampled rows has the mean's standard error") {
  // 1 .. 9: variance with n in the denominator 60/9, of the mean of nine 60/81.
  const Columns columns = {{1, 2, 3, 4, 5, 6, 7, 8, 9}};
  const auto [means, undefined] = resampled(columns, {}, mean_of_first, 4000, 1);
  CHECK(undefined == 0);
  REQUIRE(means.size() == 4000);
  CHECK(std::abs(mean(means) - 5) < 6 * std::sqrt(60.0 / 81 / 4000));
  CHECK(variance(means) == Approx(60.0 / 81).epsilon(6 * std::sqrt(2.0 / 4000)));
  CHECK(resampled(columns, {}, mean_of_first, 50, 1).values ==
        std::vector<double>(means.begin(), means.begin() + 50));
  CHECK(resampled(columns, {}, mean_of_first, 50, 2).values !=
        resampled(columns, {}, mean_of_first, 50, 1).values);
}

TEST_CASE("rows of a group stay together, and so do the columns of a row") {
  // Two groups, of sums 3 and 7: two draws give 6, 10 or 14 and nothing else.
  const Columns columns = {{1, 3, 2, 4}, {10, 30, 20, 40}};
  const std::vector<std::size_t> groups = {0, 1, 0, 1};
  std::set<double> sums;
  const auto sum = [&](const Columns& c) {
    double all = 0;
    for (std::size_t i = 0; i < c[0].size(); ++i) {
      CHECK(c[1][i] == 10 * c[0][i]);
      all += c[0][i];
    }
    return all;
  };
  for (const double s : resampled(columns, groups, sum, 200, 3).values) sums.insert(s);
  CHECK(sums == std::set<double>{6, 10, 14});
}

TEST_CASE("what is not finite is counted and left out, and tables that do not fit are refused") {
  const auto every_fourth = [n = 0](const Columns&) mutable {
    return ++n % 4 == 0 ? 1.0 : std::numeric_limits<double>::quiet_NaN();
  };
  const Resampled some = resampled({{1, 2}}, {}, every_fourth, 12, 1);
  CHECK(some.values == std::vector<double>(3, 1.0));
  CHECK(some.undefined == 0.75);
  const Resampled none = resampled({}, {}, mean_of_first, 10, 1);
  CHECK(none.values.empty());
  CHECK(none.undefined == 1);
  CHECK_THROWS_AS(resampled({{1, 2}, {1}}, {}, mean_of_first, 10, 1), ContractError);
  CHECK_THROWS_AS(resampled({{1, 2}}, std::vector<std::size_t>{0}, mean_of_first, 10, 1), ContractError);
}
