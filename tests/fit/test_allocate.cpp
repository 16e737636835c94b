// What a law says of an amount of compute, against what can be worked out by hand.
#include "fit/allocation/allocate.hpp"

#include <cmath>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/allocation/likelihood_ratio.hpp"
#include "fit/allocation/power.hpp"
#include "fit/surface.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;

namespace {

const std::map<std::string, double> kTruth = {
    {"E", Truth().E}, {"A", Truth().A}, {"alpha", Truth().alpha}, {"B", Truth().B}, {"beta", Truth().beta}};

FittedLaw fitted_to(const Runs& runs, int resamples) {
  FittedLaw fitted{law_named("chinchilla"), runs, {}};
  fitted.result = fit_surface(*fitted.law, runs, {std::nullopt, {IntervalKind::bootstrap, resamples, 1, 1}});
  return fitted;
}

// N_opt = G (C/6)^a, in closed form (Hoffmann et al. 2022, equation 4).
double best_size(double C) {
  const Truth t;
  const double sum = t.alpha + t.beta, G = std::pow(t.alpha * t.A / (t.beta * t.B), 1 / sum);
  return G * std::pow(C / 6, t.beta / sum);
}

}  // namespace

TEST_CASE("the theta of constants gives them back, whatever they are called") {
  const Law& law = *law_named("chinchilla");
  const Vector theta = theta_of(law, kTruth);
  for (const Quantity& q : law.params) CHECK(q.value(theta) == Approx(kTruth.at(q.name)).epsilon(1e-12));
  const Law& kaplan = *law_named("kaplan");
  const std::map<std::string, double> published = {
      {"alpha_N", .076}, {"alpha_D", .103}, {"N_c", 6.4e13}, {"D_c", 1.8e13}};
  const Vector other = theta_of(kaplan, published);
  for (const Quantity& q : kaplan.params) CHECK(q.value(other) == Approx(published.at(q.name)).epsilon(1e-9));
  CHECK_THROWS_AS(theta_of(law, {{"E", 1}}), UsageError);
  CHECK_THROWS_AS(theta_of(law, {{"E", 1}, {"A", 1}, {"alpha", 1}, {"B", 1}, {"gamma", 1}}), UsageError);
  CHECK_THROWS_AS(theta_of(law, {{"E", -1}, {"A", 1}, {"alpha", 1}, {"B", 1}, {"beta", 1}}), UsageError);
}

TEST_CASE("the best size is that of the closed form, at any cost of a token") {
  const Law& law = *law_named("chinchilla");
  const Vector theta = theta_of(law, kTruth);
  for (const double C : {1e14, 1e18, 1e24}) {
    const Allocation best = Frontier(law, TokenCost()).best(theta, C);
    CHECK(best.N == Approx(best_size(C)).epsilon(1e-6));
    CHECK(best.D == Approx(C / (6 * best.N)).epsilon(1e-12));
    CHECK(best.loss == Approx(Truth().loss(best.N, best.D)).epsilon(1e-12));
  }
  // Twice the cost of a token is half the compute.
  CHECK(Frontier(law, TokenCost("12*N")).best(theta, 2e18).N == Approx(best_size(1e18)).epsilon(1e-6));
  CHECK_THROWS_AS(TokenCost("6*P"), UsageError);
  CHECK_THROWS_AS(TokenCost("-N"), UsageError);
  CHECK_THROWS_AS(Frontier(*law_named("power-N"), TokenCost()), UsageError);
  CHECK_THROWS_AS(Frontier(*law_named("kaplan-steps"), TokenCost()), UsageError);
}

TEST_CASE("a law of C and D/N has the frontier of the one of N and D that it is") {
  const Law& tied = *law_named("chinchilla-tied");
  const Vector of_tied = theta_of(tied, {{"E", 1.5}, {"A", 300}, {"alpha", .3}, {"B", 700}});
  // A N^-alpha = A 6^(alpha/2) (C M)^... with eta = alpha / 2: N = sqrt(C/(6M)), D = sqrt(C M/6).
  const double six = std::pow(6, .15);
  const Law& over = *law_named("over-training");
  const Vector of_over = theta_of(over, {{"E", 1.5}, {"a", 300 * six}, {"b", 700 * six}, {"eta", .15}});
  const Allocation a = Frontier(tied, TokenCost()).best(of_tied, 1e20),
                   b = Frontier(over, TokenCost()).best(of_over, 1e20);
  CHECK(b.N == Approx(a.N).epsilon(1e-6));
  CHECK(b.loss == Approx(a.loss).epsilon(1e-10));
}

TEST_CASE("sizes that are as good, and what others cost") {
  const Law& law = *law_named("chinchilla");
  const Vector theta = theta_of(law, kTruth);
  const Frontier frontier(law, TokenCost());
  const double C = 1e18;
  const Allocation best = frontier.best(theta, C);
  const Frontier::Range range = frontier.indifferent(theta, C, 2e-3);
  CHECK(range.low < best.N);
  CHECK(best.N < range.high);
  for (const double N : {range.low, range.high})
    CHECK(Truth().loss(N, C / (6 * N)) == Approx(1.002 * best.loss).epsilon(1e-9));
  const double more = frontier.compute_of_size(theta, best.N / 2, best.loss);
  CHECK(more > C);
  CHECK(Truth().loss(best.N / 2, more / (3 * best.N)) == Approx(best.loss).epsilon(1e-9));
  // What its size alone costs above the floor can no data make up for.
  CHECK(std::isinf(frontier.compute_of_size(theta, best.N / 1000, best.loss)));
  CHECK(frontier.compute_of_best(theta, best.loss) == Approx(C).epsilon(1e-6));
  CHECK(std::isinf(frontier.compute_of_best(theta, 0.99)));
}

TEST_CASE("allocations hold the truth between their ends") {
  AllocateOptions options;
  options.flops = {1e15, 1e17};
  const auto list = allocate(fitted_to(lab_sweep(0.003, 3), 200), options);
  REQUIRE(list.size() == 2);
  for (const AllocationAt& a : list) {
    CHECK(a.N.low < best_size(a.C));
    CHECK(best_size(a.C) < a.N.high);
    CHECK(a.loss.low < Truth().loss(best_size(a.C), a.C / (6 * best_size(a.C))));
    CHECK(a.ratio.value == Approx(a.D.value / a.N.value));
    REQUIRE(a.others.size() == 4);
    for (const Misallocation& m : a.others) CHECK(m.compute.value > 1);
  }
  CHECK(list[1].N.high / list[1].N.low > list[0].N.high / list[0].N.low);  // farther out
}

TEST_CASE("a recipe that needs a quarter of the compute is four times ahead") {
  // The same loss with half the parameters and half the tokens.
  Truth better;
  better.A *= std::pow(0.5, better.alpha), better.B *= std::pow(0.5, better.beta);
  AllocateOptions options;
  options.flops = {1e16};
  constexpr int kPairs = 20;  // 19 are expected inside; fewer than 16 with a chance of 0.003
  int inside = 0;
  for (int s = 0; s < kPairs; ++s) {
    const auto seed = static_cast<std::uint64_t>(2 * s + 700);
    const FittedLaw ours = fitted_to(lab_sweep(0.003, seed, better), 80),
                    theirs = fitted_to(lab_sweep(0.003, seed + 1), 80);
    const EffectiveCompute ahead = effective_compute(ours, theirs, options).front();
    inside += ahead.multiplier.low < 4 && 4 < ahead.multiplier.high;
    CHECK(ahead.multiplier.value == Approx(4).epsilon(0.5));
  }
  CHECK(inside >= 16);
  const EffectiveCompute exact =
      effective_compute(fitted_to(lab_sweep(0, 1, better), 0), fitted_to(lab_sweep(0, 1), 0), options)
          .front();
  CHECK(exact.multiplier.value == Approx(4).epsilon(1e-4));
  CHECK(std::isnan(exact.multiplier.low));
  // A floor that the other never reaches.
  Truth lower;
  lower.E = 0.5;
  options.flops = {1e25};
  const EffectiveCompute never =
      effective_compute(fitted_to(lab_sweep(0, 1, lower), 0), fitted_to(lab_sweep(0, 1), 0), options).front();
  CHECK(std::isinf(never.multiplier.value));
}

TEST_CASE("the chi-squared tail is that of the tables") {
  CHECK(chi_square_tail(3.841458820694124, 1) == Approx(0.05).epsilon(1e-10));
  CHECK(chi_square_tail(5.991464547107979, 2) == Approx(0.05).epsilon(1e-10));
  CHECK(chi_square_tail(11.070497693516351, 5) == Approx(0.05).epsilon(1e-10));
  CHECK(chi_square_tail(18.307038053275146, 10) == Approx(0.05).epsilon(1e-10));
  CHECK(chi_square_tail(0, 3) == Approx(1));
}

TEST_CASE("constants that are true are rejected as often as the level says, others always") {
  constexpr int kSweeps = 120;  // 6 rejections are expected; more than 14 with a chance below 0.002
  int rejected = 0;
  for (int s = 0; s < kSweeps; ++s) {
    FittedLaw fitted{law_named("chinchilla"), lab_sweep(0.003, static_cast<std::uint64_t>(300 + s)), {}};
    fitted.result = fit_surface(*fitted.law, fitted.runs, {10.0, {IntervalKind::bootstrap, 0}});
    rejected += likelihood_ratio(fitted, theta_of(*fitted.law, kTruth)).huber_p < 0.05;
    if (s > 0) continue;
    auto wrong = kTruth;
    wrong["alpha"] = 0.33;
    const LikelihoodRatio test = likelihood_ratio(fitted, theta_of(*fitted.law, wrong));
    CHECK(test.huber_p < 1e-6);
    CHECK(test.laplace_p < 1e-6);
    CHECK(test.degrees == 35);
  }
  CHECK(rejected <= 14);
  CHECK(rejected >= 1);
}

TEST_CASE("four times the runs make half the width, and Student's t a little less") {
  const FittedLaw fitted = fitted_to(lab_sweep(0.01, 2), 200);
  const Interval alpha = fitted.result.params[2];
  REQUIRE(alpha.name == "alpha");
  const double width =
      2 * student_t_quantile(0.975, 35) * fitted.result.intervals->error_of(fitted.law->params[2]);
  CHECK(width == Approx(alpha.high - alpha.low).epsilon(0.1));
  const PowerAnswer same = runs_needed(fitted, {"alpha", width, 0.95});
  CHECK(same.now == Approx(width).epsilon(1e-9));
  CHECK(same.runs == Approx(40).margin(1));
  const PowerAnswer half = runs_needed(fitted, {"alpha", width / 2, 0.95});
  CHECK(half.runs > 150);
  CHECK(half.runs < 160);
  double cost = 0;
  for (int i = 0; i < 40; ++i) {
    const auto k = static_cast<std::size_t>(i);
    cost += 6 * fitted.runs.columns[0][k] * fitted.runs.columns[1][k] / 40;
  }
  CHECK(half.flops == Approx((half.runs - 40) * cost));
  CHECK(runs_needed(fitted, {"a", 0.01, 0.8}).runs < runs_needed(fitted, {"a", 0.01, 0.95}).runs);
  CHECK_THROWS_AS(runs_needed(fitted, {"gamma", 0.01, 0.8}), UsageError);
  CHECK_THROWS_AS(runs_needed(fitted_to(lab_sweep(0.01, 2), 0), {"a", 0.01, 0.8}), InputError);
}
