// Profile intervals: exact where the law is a straight line, and open where nothing bounds a number.
#include "fit/profile.hpp"

#include <cmath>

#include "base/stats.hpp"
#include "fit/solve.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;

namespace {

constexpr Huber kLeastSquares{10};

struct Fitted {
  Points points;
  std::vector<double> weights;
  Vector best;
  const Law& law;

  Fitted(const char* name, const std::vector<std::vector<double>>& columns, const std::vector<double>& loss,
         Huber huber = kLeastSquares)
      : points(*find_law(name), columns, loss),
        weights(loss.size(), 1.0),
        best(solve(points, weights, huber).theta),
        law(*find_law(name)) {}
  ProfileInterval of(const Quantity& quantity, Huber huber = kLeastSquares) const {
    return profile_interval(points, weights, huber, best, quantity);
  }
  const Quantity& param(const std::string& name) const {
    for (const Quantity& q : law.params)
      if (q.name == name) return q;
    FAIL("no parameter " << name);
    return law.params.front();
  }
};

Quantity log_of(const Quantity& q) {
  return {"ln " + q.name, [q](const Vector& theta) { return std::log(q.value(theta)); }};
}

}  // namespace

TEST_CASE("of a power law the interval is the t interval of a straight line in logs") {
  const Rng rng(3, 0);
  std::vector<double> N, loss, x, y;
  for (std::uint64_t i = 0; i < 12; ++i) {
    N.push_back(1e4 * std::pow(2.0, static_cast<double>(i)));
    loss.push_back(30 * std::pow(N.back(), -0.2) * std::exp(0.02 * rng.normal(i)));
    x.push_back(std::log(N.back())), y.push_back(std::log(loss.back()));
  }
  const Fitted f("power-N", {N}, loss);
  double sxx = 0, sxy = 0, squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sxx += std::pow(x[i] - mean(x), 2), sxy += (x[i] - mean(x)) * y[i];
  const double slope = sxy / sxx;
  for (std::size_t i = 0; i < x.size(); ++i)
    squares += std::pow(y[i] - mean(y) - slope * (x[i] - mean(x)), 2);
  const double half = student_t_quantile(0.975, 10) * std::sqrt(squares / 10 / sxx);
  const ProfileInterval alpha = f.of(f.param("alpha"));
  CHECK(alpha.low == Approx(-slope - half).epsilon(1e-6));
  CHECK(alpha.high == Approx(-slope + half).epsilon(1e-6));
  // A function of a parameter has the function of its interval.
  const ProfileInterval a = f.of(f.param("A")), log_a = f.of(log_of(f.param("A")));
  CHECK(std::log(a.low) == Approx(log_a.low).epsilon(1e-6));
  CHECK(std::log(a.high) == Approx(log_a.high).epsilon(1e-6));
  // So does a prediction, off to the right.
  const double at_x = std::log(1e9);
  const ProfileInterval p =
      f.of({"L", [&](const Vector& theta) { return std::log(predict(f.law, theta, std::vector{1e9})); }});
  const double half_there = student_t_quantile(0.975, 10) *
                            std::sqrt(squares / 10 * (1.0 / 12 + std::pow(at_x - mean(x), 2) / sxx));
  const double there = mean(y) + slope * (at_x - mean(x));
  CHECK(p.low == Approx(there - half_there).epsilon(1e-6));
  CHECK(p.high == Approx(there + half_there).epsilon(1e-6));
}

TEST_CASE("a constrained fit is the least of all that have the number") {
  const Runs runs = lab_sweep(0.01, 4);
  const Fitted f("chinchilla", runs.columns, runs.loss);
  const double alpha = f.param("alpha").value(f.law.form->restore(f.best, f.points.centres())) + 0.02;
  const auto fit = constrained_fit(f.points, f.weights, kLeastSquares, f.best, f.param("alpha"), alpha);
  REQUIRE(fit);
  Bounds wall = f.points.law().form->bounds(f.points);
  wall.low[3] = wall.high[3] = alpha;
  Vector start = f.best;
  start[3] = alpha;
  const Descent held = descend(f.points, f.weights, kLeastSquares, wall, start);
  CHECK(fit->value == Approx(held.value).epsilon(1e-9));
  for (std::size_t i = 0; i < 5; ++i) CHECK(fit->theta[i] == Approx(held.theta[i]).epsilon(1e-5));
}

TEST_CASE("intervals cover the truth, with least squares and with Huber") {
  const Truth truth;
  for (const Huber huber : {kLeastSquares, Huber{1.345 * 0.003}}) {
    int covered = 0, closed = 0;
    constexpr int kSweeps = 120;
    for (std::uint64_t seed = 0; seed < kSweeps; ++seed) {
      const Runs runs = lab_sweep(0.003, 100 + seed, truth);
      const Fitted f("chinchilla", runs.columns, runs.loss, huber);
      const ProfileInterval beta = f.of(f.param("beta"), huber);
      closed += beta.closed();
      covered += beta.low <= truth.beta && truth.beta <= beta.high;
    }
    CHECK(closed == kSweeps);
    CHECK(covered >= 105);  // 114 are expected; fewer than 105 with a chance below 1e-4
    CHECK(covered <= 120);
  }
}

TEST_CASE("a number that the data do not bound has an open side") {
  // A floor far below every loss: any smaller one, down to none, fits as well.
  std::vector<double> N, loss;
  const Rng rng(8, 0);
  for (std::uint64_t i = 0; i < 10; ++i) {
    N.push_back(1e4 * std::pow(1.5, static_cast<double>(i)));
    loss.push_back((0.01 + 30 * std::pow(N.back(), -0.2)) * std::exp(0.01 * rng.normal(i)));
  }
  const Fitted f("power-N-floor", {N}, loss);
  const ProfileInterval floor = f.of(f.param("E"));
  CHECK_FALSE(floor.closed());
  CHECK(std::isnan(floor.low));
  // Without a degree of freedom nothing is bounded.
  const Fitted exact("power-N", {{1e4, 1e5}}, {3, 2});
  const ProfileInterval none = exact.of(exact.param("alpha"));
  CHECK(std::isnan(none.low));
  CHECK(std::isnan(none.high));
}
