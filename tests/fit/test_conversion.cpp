// One law in two counts.
#include "fit/allocation/conversion.hpp"

#include <cmath>

#include "base/error.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using Catch::Matchers::Contains;

namespace {

const double kAlpha = .3478, kBeta = .3658, kA = 482.01, kB = 2085.43, kGamma = 47491;

FittedLaw epoch() {
  FittedLaw fitted{law_named("chinchilla"), {}, {}};
  fitted.result.theta =
      theta_of(*fitted.law, {{"E", 1.8172}, {"A", kA}, {"alpha", kAlpha}, {"B", kB}, {"beta", kBeta}});
  return fitted;
}

// C at which N is best, counted without embeddings: where d loss / d ln N at C = 6 N D is 0.
double compute_of(double N) {
  const double total = N + kGamma * std::cbrt(N), slope = (N + kGamma / 3 * std::cbrt(N)) / total;
  return 6 * N * std::pow(kBeta * kB / (kAlpha * kA * slope * std::pow(total, -kAlpha)), 1 / kBeta);
}

std::vector<CountedModel> models_of(int count) {
  std::vector<CountedModel> models;
  for (const double N : log_spaced(1e2, 1e11, count)) {
    const double total = N + kGamma * std::cbrt(N);
    models.push_back({{total, 6 * total}, {N, 6 * N}});
  }
  return models;
}

}  // namespace

TEST_CASE("the best size in another count is where the derivative says") {
  const FittedLaw law = epoch();
  const ModelFamily family("N + 47491*N^(1/3)", 1e2, 1e11);
  for (const double N : {1e4, 1e6, 1e9}) {
    const SweepPrediction sweep =
        predict_sweep(*law.law, law.result.theta, family, Convention::other, std::vector{compute_of(N)});
    REQUIRE(sweep.points.size() == 1);
    CHECK(sweep.points[0].N == Approx(N).epsilon(1e-5));
  }
}

TEST_CASE("in its own count the law keeps its exponents, in another they are others") {
  const FittedLaw law = epoch();
  const ModelFamily family("N + 47491*N^(1/3)", 1e2, 1e11);
  const Conversion c = convert(law, family, log_spaced(compute_of(1e3), compute_of(1e9), 40));
  CHECK(c.a_law.value == Approx(kBeta / (kAlpha + kBeta)).epsilon(1e-6));
  CHECK(c.law.b == Approx(1 - c.law.a).epsilon(1e-6));
  CHECK(c.a_other.value > c.a_law.value + 0.2);
  CHECK(c.gap.value == Approx(c.a_other.value - c.a_law.value));
  // Large models have few embeddings.
  const ModelFamily large("N + 47491*N^(1/3)", 1e13, 1e17);
  CHECK(convert(law, large, log_spaced(compute_of(1e14), compute_of(1e16), 10)).gap.value ==
        Approx(0).margin(2e-3));
  CHECK_THAT(conversion_text(law, c), Contains("local a"));
}

TEST_CASE("a list of models is the formula that it was made by") {
  const FittedLaw law = epoch();
  const std::vector<double> budgets = log_spaced(compute_of(1e4), compute_of(1e8), 20);
  const ModelFamily formula("N + 47491*N^(1/3)", 1e2, 1e11), list(models_of(40));
  const double a = predict_sweep(*law.law, law.result.theta, formula, Convention::other, budgets).a,
               b = predict_sweep(*law.law, law.result.theta, list, Convention::other, budgets).a;
  CHECK(b == Approx(a).epsilon(1e-3));
  // The best of many models alone reads nearly the same exponent.
  CHECK(predict_sweep_of(*law.law, law.result.theta, models_of(400), Convention::other, budgets).a ==
        Approx(a).epsilon(5e-3));
}

TEST_CASE("the gap has the interval of its law") {
  FittedLaw fitted{law_named("chinchilla"), loglog::testing::lab_sweep(0.003, 2), {}};
  Table table("sweep");
  table.add("N", fitted.runs.columns[0]);
  table.add("D", fitted.runs.columns[1]);
  table.add("loss", fitted.runs.loss);
  ProcedureOptions options;
  options.bootstrap = 60;
  fitted = fit_law(fitted.law, table, options);
  const ModelFamily family("N + 300*N^(1/3)", 1e2, 1e9);
  const Conversion c = convert(fitted, family, log_spaced(1e11, 1e14, 20));
  CHECK(c.a_other.low < c.a_other.value);
  CHECK(c.a_other.value < c.a_other.high);
  CHECK(c.gap.high - c.gap.low < c.a_other.high - c.a_other.low);  // what both share falls out
}

TEST_CASE("families that are none are refused") {
  CHECK_THROWS_AS(ModelFamily("N + P", 1, 10), UsageError);
  CHECK_THROWS_AS(ModelFamily("N - 1e5", 1e2, 1e6), UsageError);
  CHECK_THROWS_AS(ModelFamily(models_of(2)), UsageError);
  std::vector<CountedModel> twice = models_of(5);
  twice.push_back(twice[2]);
  CHECK_THROWS_WITH(ModelFamily(twice), Contains("two models have"));
  std::vector<CountedModel> crossed = models_of(5);
  std::swap(crossed[1].law, crossed[3].law);
  CHECK_THROWS_WITH(ModelFamily(crossed), Contains("has fewer in the other"));
  const FittedLaw law = epoch();
  CHECK_THROWS_WITH(convert(law, ModelFamily("N + 47491*N^(1/3)", 1e6, 1e8), log_spaced(1e12, 1e24, 10)),
                    Contains("give other budgets"));
}
