#include "base/stats.hpp"

#include <cmath>

#include "support/catch.hpp"

using namespace loglog;

TEST_CASE("quantiles of the t, F and normal distributions match the printed tables") {
  // t.ppf, f.ppf and norm.ppf of scipy.stats; 235 degrees of freedom by Simpson's rule on the density.
  REQUIRE(student_t_quantile(0.975, 1) == Approx(12.706204736).epsilon(1e-9));
  REQUIRE(student_t_quantile(0.975, 10) == Approx(2.228138852).epsilon(1e-9));
  REQUIRE(student_t_quantile(0.025, 235) == Approx(-1.9701100623).epsilon(1e-9));
  REQUIRE(f_quantile(0.95, 1, 10) == Approx(4.964602744).epsilon(1e-9));
  REQUIRE(f_quantile(0.95, 5, 100) == Approx(2.305318).epsilon(1e-6));
  REQUIRE(normal_quantile(0.975) == Approx(1.959963984540).epsilon(1e-11));
}

TEST_CASE("quantile interpolates and empty input is NaN") {
  REQUIRE(quantile({4, 1, 3, 2}, 0.5) == 2.5);
  REQUIRE(quantile({1, 2, 3}, 1.0) == 3.0);
  REQUIRE(std::isnan(quantile({}, 0.5)));
  REQUIRE(std::isnan(variance(std::vector<double>{1.0})));
  REQUIRE(variance(std::vector<double>{1.0, 3.0}) == 2.0);
}
