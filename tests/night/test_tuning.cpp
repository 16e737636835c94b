// The factor of a rule's learning rate, from what was tried.
#include "night/tuning.hpp"

#include <cmath>

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog::night;

namespace {

// Losses of two sizes whose best factor is `best`.
std::vector<TriedRate> parabola(double best, const std::vector<double>& rates) {
  std::vector<TriedRate> tried;
  for (const char* size : {"a", "b"})
    for (const double rate : rates)
      tried.push_back({size, rate, 2 * std::exp(0.05 * std::pow(std::log(rate / best), 2))});
  return tried;
}

}  // namespace

TEST_CASE("the best factor is the vertex of the parabola") {
  const BestRate best = best_rate(parabola(1.3, {0.5, 1, 2}));
  REQUIRE(best.rate);
  CHECK(*best.rate == Approx(1.3));
  CHECK_FALSE(best.at_end);
  CHECK_FALSE(next_rate(best, {0.5, 1, 2}));
}

TEST_CASE("where the best is at an end the search goes on there, up to six factors") {
  CHECK(next_rate(best_rate(parabola(4, {0.5, 1, 2})), {0.5, 1, 2}) == 4.0);
  CHECK(next_rate(best_rate(parabola(0.2, {0.5, 1, 2})), {0.5, 1, 2}) == 0.25);
  const std::vector<double> six = {0.0625, 0.125, 0.25, 0.5, 1, 2};
  CHECK_FALSE(next_rate(best_rate(parabola(0.01, six)), six));
  CHECK(best_rate(parabola(0.01, six)).at_end);
}

TEST_CASE("a factor at which one size diverged is none") {
  std::vector<TriedRate> tried = parabola(4, {0.5, 1, 2});
  tried.back().loss.reset();
  const BestRate best = best_rate(tried);
  CHECK(best.rate == 1.0);
  CHECK(best.at_end);
  CHECK_FALSE(next_rate(best, {0.5, 1, 2}));  // higher ones diverge
  for (TriedRate& t : tried) t.loss.reset();
  CHECK_FALSE(best_rate(tried).rate);
  CHECK(next_rate(best_rate(tried), {0.5, 1, 2}) == 0.25);
}

TEST_CASE("runs name their factor") {
  CHECK(rate_of_name("l1w8-C1e9-rate0.25-s1") == 0.25);
  CHECK_THROWS_AS(rate_of_name("l1w8-C1e9-s1"), loglog::InputError);
}
