#include "fit/isoflop.hpp"

#include <cmath>

#include "base/error.hpp"
#include "fit/budgets.hpp"
#include "fit/interpolate.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

struct Chinchilla {
  double E = 1.69, A = 406.4, B = 410.7, alpha = 0.34, beta = 0.28;
  double loss(double N, double D) const { return E + A * std::pow(N, -alpha) + B * std::pow(D, -beta); }
  double a() const { return beta / (alpha + beta); }
  double N_opt(double C) const {
    return std::pow(alpha * A / (beta * B), 1 / (alpha + beta)) * std::pow(C / 6, a());
  }
};

// `budgets` budgets from 1e17 to 1e21, sizes on a log grid within a factor `range` of the optimum.
Runs design(int budgets, int sizes, double range, double noise = 0, std::uint64_t seed = 1, int repeats = 1) {
  const Chinchilla truth;
  Runs runs = empty_runs({"N", "D", "C"});
  const Rng rng(seed, 3);
  for (int b = 0; b < budgets; ++b) {
    const double C = 1e17 * std::pow(1e4, static_cast<double>(b) / (budgets - 1));
    for (int s = 0; s < sizes * repeats; ++s) {
      const double N = truth.N_opt(C) * std::pow(range, 2.0 * (s % sizes) / (sizes - 1) - 1);
      const double D = C / (6 * N);
      const double z = noise * rng.normal(static_cast<std::uint64_t>(runs.size()));
      add_run(runs, {N, D, C}, truth.loss(N, D) * std::exp(z));
    }
  }
  return runs;
}

double D_error_at_1e24(const FitResult& r) {
  const double predicted = r.params[1].value * std::pow(1e24, r.optimum[1].value);
  return predicted / (1e24 / 6 / Chinchilla().N_opt(1e24)) - 1;
}

const IsoflopOptions kNoIntervals{Interpolation::parabola, 2, "", 0, 1, 1};

}  // namespace

TEST_CASE("P14: a noise-free parabola leaves the exponent exact and biases D* as published") {
  const double ranges[] = {2, 4, 8, 16};
  const double errors[] = {-0.00326938, -0.0130113, -0.029029, -0.0510024};
  for (int i = 0; i < 4; ++i) {
    const FitResult r = fit_isoflop(design(5, 15, ranges[i]), kNoIntervals);
    REQUIRE(r.optimum[0].value == Approx(Chinchilla().a()).margin(1e-9));
    REQUIRE(r.optimum[1].value == Approx(1 - Chinchilla().a()).margin(1e-9));
    REQUIRE(D_error_at_1e24(r) == Approx(errors[i]).margin(1e-6));
  }
}

TEST_CASE("Akima's curve passes its points and copies a parabola") {
  const std::vector<double> x = {0, 1, 2.5, 3, 5, 6};
  std::vector<double> y;
  for (const double v : x) y.push_back((v - 2) * (v - 2));
  const Akima curve(x, y);
  for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(curve(x[i]) == Approx(y[i]).margin(1e-14));
  // Worked out by hand from the formulas of Akima 1970, ends extrapolated by 2 m1 - m2.
  const Akima other({0, 1, 2, 3, 4, 5}, {0, 2, 1, 3, 2, 6});
  REQUIRE(other(0.5) == Approx(1.375).epsilon(1e-12));
  REQUIRE(other(2.25) == Approx(1.341796875).epsilon(1e-12));
  REQUIRE(other(4.75) == Approx(4.501953125).epsilon(1e-12));
}

TEST_CASE("a budget without two sizes on each side is dropped and said") {
  Runs runs = design(5, 7, 8);
  const double C = 1e22;
  for (int s = 0; s < 5; ++s) {  // all sizes above the optimum
    const double N = Chinchilla().N_opt(C) * std::pow(2.0, s + 0.5);
    add_run(runs, {N, C / (6 * N), C}, Chinchilla().loss(N, C / (6 * N)));
  }
  const FitResult r = fit_isoflop(runs, kNoIntervals);
  REQUIRE(r.budgets.size() == 6);
  REQUIRE(!r.budgets.back().used);
  REQUIRE(!r.budgets.back().reason.empty());
  REQUIRE(r.optimum[0].value == Approx(Chinchilla().a()).margin(1e-3));
  REQUIRE_THROWS_AS(fit_isoflop(design(2, 7, 8), kNoIntervals), InputError);
  REQUIRE_THROWS_WITH(fit_isoflop(design(2, 7, 8), kNoIntervals), Contains("at least 3"));
}

TEST_CASE("a budget column joins runs whose realised compute differs") {
  Runs runs = design(5, 7, 4);
  for (int i = 0; i < runs.size(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    runs.budget.push_back(runs.columns[2][k]);
    runs.columns[2][k] *= i % 2 == 0 ? 1.0 : 1.1;
  }
  REQUIRE(fit_isoflop(runs, kNoIntervals).budgets.size() == 5);
  runs.budget.clear();
  REQUIRE(group_budgets(runs).size() > 5);
}

TEST_CASE("runs of one cell and one seed are no repeats, and a warning") {
  Runs runs = design(5, 7, 4, 0.003, 50, 2);
  for (int i = 0; i < runs.size(); ++i) runs.seed.push_back(i % 14 < 7 ? 1 : 2);
  const FitResult by_seed = fit_isoflop(runs, {});
  REQUIRE_THAT(by_seed.interval_method, Contains("from 35 repeats"));
  REQUIRE(by_seed.warnings.empty());
  std::fill_n(runs.seed.begin(), 14, 1.0);  // the first budget: learning rates, say
  const FitResult mixed = fit_isoflop(runs, {});
  REQUIRE_THAT(mixed.interval_method, Contains("from 28 repeats"));
  REQUIRE_THAT(mixed.warnings.front(), Contains("7 sizes of a budget have several runs of one seed"));
}

TEST_CASE("budgets that are given are told apart however close they lie") {
  Runs runs = design(5, 7, 4);
  for (const double budget : {1000, 1001, 1002, 1003, 1004}) runs.budget.insert(runs.budget.end(), 7, budget);
  REQUIRE(group_budgets(runs).size() == 5);
}

TEST_CASE("intervals from residuals, repeats or given noise cover the exponent") {
  // 60 sweeps each at nominal 95%: fewer than 50 hits have probability 1e-3 at a true 93%.
  struct Case {
    const char* sigma;
    int repeats;
  };
  for (const Case& c : {Case{"", 1}, {"", 2}, {"0.003*(N/1e9)^0", 1}}) {
    INFO("sigma '" << c.sigma << "', " << c.repeats << " repeats");
    int hits = 0;
    for (std::uint64_t sweep = 0; sweep < 60; ++sweep) {
      const FitResult r = fit_isoflop(design(5, 7, 4, 0.003, 50 + sweep, c.repeats),
                                      {Interpolation::parabola, 1, c.sigma, 200, sweep, 1});
      hits += r.optimum[0].low <= Chinchilla().a() && Chinchilla().a() <= r.optimum[0].high ? 1 : 0;
    }
    REQUIRE(hits >= 50);
  }
}

TEST_CASE("the order of the rows and the number of threads change no byte") {
  const Runs runs = design(5, 7, 4, 0.003);
  Runs reversed = empty_runs({"N", "D", "C"});
  for (int i = runs.size() - 1; i >= 0; --i) {
    const auto k = static_cast<std::size_t>(i);
    add_run(reversed, {runs.columns[0][k], runs.columns[1][k], runs.columns[2][k]}, runs.loss[k]);
  }
  const IsoflopOptions one{Interpolation::parabola, 1, "", 100, 9, 1};
  IsoflopOptions three = one;
  three.threads = 3;
  REQUIRE(to_json(fit_isoflop(runs, one)).dump() == to_json(fit_isoflop(reversed, three)).dump());
}

TEST_CASE("a seed-noise formula may hold N only and must be positive") {
  const Runs runs = design(5, 7, 4);
  REQUIRE_THROWS_AS(fit_isoflop(runs, {Interpolation::parabola, 2, "0.01*D", 10, 1, 1}), UsageError);
  REQUIRE_THROWS_AS(fit_isoflop(runs, {Interpolation::parabola, 2, "0-N", 10, 1, 1}), UsageError);
  REQUIRE_THROWS_AS(interpolation_named("parabolla"), UsageError);
}
