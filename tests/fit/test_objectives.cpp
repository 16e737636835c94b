// The losses that a fit may minimise: derivatives in batches, quantiles, and starts from anywhere.
#include "fit/objective_choice.hpp"

#include <cmath>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/selftest/designs.hpp"
#include "fit/solve.hpp"
#include "fit/surface.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using Kind = ObjectiveChoice::Kind;

namespace {

Runs sweep(double noise) {
  const auto law = [](Place p) { return CoverageTruth().loss(p.N, p.D); };
  std::vector<Place> places = lab40();
  for (int more = 0; more < 2; ++more) {  // 120 rows: a whole batch and a part
    const std::vector<Place> again = lab40();
    places.insert(places.end(), again.begin(), again.end());
  }
  return runs_of(places, losses_of(places, law, normal_noise(noise), 1, 1));
}

FitResult fit_by(const Runs& runs, const ObjectiveChoice& objective, const char* law = "chinchilla") {
  return fit_surface(*find_law(law), runs, {std::nullopt, {IntervalKind::automatic, 0}, {}, objective});
}

}  // namespace

TEST_CASE("batches give the sums over single points, absent rows left out") {
  const Runs runs = sweep(0.01);
  std::vector<double> weights(runs.loss.size());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i % 3);
  for (const char* name :
       {"chinchilla", "chinchilla-tied", "kaplan", "power-N", "power-N-floor", "over-training"}) {
    const Law& law = *find_law(name);
    std::vector<std::vector<double>> columns = runs.columns;
    columns.resize(law.variables.size());
    const Points points(law, columns, runs.loss);
    const Vector theta = best_starts(points, runs.weight, {1e-2}, 1).front();
    for (const Huber huber : {Huber{1e-2}, Huber{0.1, 0.9, 0.1}, Huber{0.1, 1, 1, true}}) {
      const Expansion e = expand(points, weights, huber, theta);
      INFO(name << ", raw " << huber.raw);
      CHECK(e.value == Approx(objective(points, weights, huber, theta)).epsilon(1e-12));
      for (int a = 0; a < law.parameter_count(); ++a) {
        constexpr double kStep = 1e-6;
        Vector up = theta, down = theta;
        up[static_cast<std::size_t>(a)] += kStep, down[static_cast<std::size_t>(a)] -= kStep;
        const double slope =
            (objective(points, weights, huber, up) - objective(points, weights, huber, down)) / (2 * kStep);
        CHECK(e.gradient[static_cast<std::size_t>(a)] == Approx(slope).epsilon(1e-5).margin(1e-7));
        const Expansion above = expand(points, weights, huber, up),
                        below = expand(points, weights, huber, down);
        for (int b = 0; b < law.parameter_count(); ++b) {
          const auto k = static_cast<std::size_t>(b);
          // A point that passes delta within the step changes this by its weight; few do.
          CHECK(at(e.hessian, a, b) ==
                Approx((above.gradient[k] - below.gradient[k]) / (2 * kStep)).epsilon(2e-3).margin(1e-4));
        }
      }
      const Expansion short_of = expand(points, weights, huber, theta, false);
      CHECK(short_of.gradient == e.gradient);
      CHECK(short_of.gauss_newton == e.gauss_newton);
    }
  }
}

TEST_CASE("a quantile leaves its share of the runs below, of logs and of raw losses") {
  const Runs runs = sweep(0.01);
  for (const double tau : {0.1, 0.5, 0.9})
    for (const bool raw : {false, true}) {
      const FitResult r = fit_by(runs, {Kind::quantile, tau, raw});
      const auto below = std::ranges::count_if(r.residuals, [](double x) { return x > 0; });  // law above run
      INFO("tau " << tau << ", raw " << raw);
      CHECK(std::abs(static_cast<double>(below) - tau * r.n) <=
            5);  // as many as there are parameters lie on the law
      CHECK(r.certificate.converged);
    }
}

TEST_CASE("objectives print the sums that they are called after") {
  const Runs runs = sweep(0.01);
  const FitResult lad = fit_by(runs, {Kind::lad}), lsq = fit_by(runs, {Kind::lsq}),
                  half = fit_by(runs, {Kind::quantile, 0.5});
  double absolute = 0, squares = 0;
  for (const double r : lad.residuals) absolute += std::abs(r);
  for (const double r : lsq.residuals) squares += r * r;
  CHECK(lad.objective == Approx(absolute).epsilon(1e-10));
  CHECK(lsq.objective == Approx(squares).epsilon(1e-10));
  CHECK(half.objective == Approx(absolute / 2).epsilon(1e-7));
  CHECK(lad.objective <= [&] {
    double sum = 0;
    for (const double r : lsq.residuals) sum += std::abs(r);
    return sum;
  }());
}

TEST_CASE("names of objectives, and what does not go together") {
  CHECK(objective_named("quantile:0.25", false).tau == 0.25);
  CHECK(objective_named("lad", true).raw);
  for (const char* bad : {"quantile", "quantile:", "quantile:1", "quantile:0", "quantile:x", "mean", ""})
    CHECK_THROWS_AS(objective_named(bad, false), UsageError);
  const Runs runs = sweep(0.01);
  const Law& law = *find_law("chinchilla");
  CHECK_THROWS_AS(fit_surface(law, runs, {1e-3, {}, {}, {Kind::lad}}), UsageError);
  CHECK_THROWS_AS(fit_surface(law, runs, {std::nullopt, {}, {}, {Kind::huber, 0.5, true}}), UsageError);
  CHECK_THROWS_AS(fit_surface(law, runs, {std::nullopt, {IntervalKind::profile, 1}, {}, {Kind::lad}}),
                  UsageError);
  const FitResult r = fit_surface(law, runs, {std::nullopt, {IntervalKind::bootstrap, 40}, {}, {Kind::lad}});
  CHECK(r.params[0].low < r.params[0].value);
  CHECK(r.params[0].high > r.params[0].value);
}

TEST_CASE("Hoffmann's starts end at the minimum, from wherever they are") {
  const Runs runs = sweep(0.01);
  const Points points(*find_law("chinchilla"), runs.columns, runs.loss);
  const std::vector<Vector> all = hoffmann_starts(points);
  REQUIRE(all.size() == 4500);
  std::vector<Vector> some;
  for (std::size_t i = 0; i < all.size(); i += 23) some.push_back(all[i]);
  const Huber huber{1e-3};
  const Solution far = solve_from_afar(points, runs.weight, huber, some),
                 near = solve(points, runs.weight, huber);
  CHECK(far.value <= near.value * (1 + 1e-9));
  CHECK(far.certificate.agreeing + far.certificate.other_minima >= 0.95 * far.certificate.starts);
  CHECK(far.certificate.agreeing >= 0.9 * far.certificate.starts);
  const Points other(*find_law("power-N"), {runs.columns[0]}, runs.loss);
  CHECK_THROWS_AS(hoffmann_starts(other), UsageError);
}
