#include "fit/choice/disagreement.hpp"

#include <cmath>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

constexpr double kNoise = 0.003;

// Six budgets of nine sizes around the optimum of the truth, each `apart` times the next in ln N; losses as `loss` says, with noise.
template <class Loss>
Runs isoflop_sweep(std::uint64_t seed, const Loss& loss) {
  const Truth t;
  const double a = t.beta / (t.alpha + t.beta);
  const double G = std::pow(t.alpha * t.A / (t.beta * t.B), 1 / (t.alpha + t.beta));
  Runs runs = empty_runs({"N", "D", "C"});
  const Rng rng(seed, 11);
  for (int b = 0; b < 6; ++b) {
    const double C = 1e13 * std::pow(6.0, b);
    for (int s = -4; s <= 4; ++s) {
      const double N = G * std::pow(C / 6, a) * std::exp(0.4 * s), D = C / (6 * N);
      const double z = kNoise * rng.normal(static_cast<std::uint64_t>(runs.size()));
      add_run(runs, {N, D, C}, loss(N, D, C) * std::exp(z));
    }
  }
  return runs;
}

DisagreementOptions options(std::uint64_t seed = 1, int threads = 1) {
  DisagreementOptions o;
  o.resamples = 200, o.seed = seed, o.threads = threads;
  return o;
}

}  // namespace

TEST_CASE("where the law holds the approaches disagree by no more than noise, and it is said") {
  const Truth truth;
  int rejected = 0, beyond = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Runs runs = isoflop_sweep(seed, [&](double N, double D, double) { return truth.loss(N, D); });
    const Disagreement result = disagreement(*find_law("chinchilla"), runs, options(seed, 2));
    REQUIRE(result.approaches.size() == 3);
    REQUIRE(result.differences.size() == 3);
    CHECK(result.approaches[2].a == Approx(truth.beta / (truth.alpha + truth.beta)).margin(0.05));
    rejected += result.p_value < 0.05 ? 1 : 0;
    beyond += result.differences[2].unexplained ? 1 : 0;  // isoflop and the law
  }
  CHECK(rejected <= 4);  // five or more of a true 5% have probability 0.3%
  CHECK(beyond <= 4);
}

TEST_CASE("where minima follow another exponent than the law's the approaches disagree beyond noise") {
  const Truth truth;
  // The truth, tilted: minima move against those of the law by C^0.08.
  const auto tilted = [&](double N, double D, double C) {
    const double shift = std::pow(C / 1e15, 0.08);
    return truth.loss(N / shift, D * shift);
  };
  const Disagreement same =
      disagreement(*find_law("chinchilla"),
                   isoflop_sweep(3, [&](double N, double D, double) { return truth.loss(N, D); }), options());
  CHECK_THAT(same.verdict, Contains("no more than noise"));
  // A law of N alone in its curvature cannot follow: tied exponents fix a at one half.
  const Disagreement other = disagreement(*find_law("chinchilla-tied"), isoflop_sweep(3, tilted), options());
  CHECK(other.approaches[2].a == Approx(0.5));
  CHECK(other.differences[2].unexplained);
  CHECK(other.p_value < 0.01);
  CHECK_THAT(other.verdict, Contains("disagree by more than noise"));
}

TEST_CASE("an approach that cannot be used is refused by name, and two are needed") {
  const Truth truth;
  Runs runs = empty_runs({"N", "D", "C"});
  for (int i = 0; i < 30; ++i) {  // no budgets: the best run of each C is the only one
    const double N = 1e4 * std::pow(1.3, i), D = N * (10 + 7 * (i % 5));
    add_run(runs, {N, D, 6 * N * D}, truth.loss(N, D));
  }
  const Disagreement result = disagreement(*find_law("chinchilla"), runs, options());
  CHECK_THAT(result.approaches[1].refusal, Contains("budgets"));
  CHECK(result.differences.size() == 1);
  CHECK(to_json(result)["approaches"][1]["a"].is_null());
  CHECK_THROWS_AS(disagreement(*find_law("power-N"), runs, options()), UsageError);
  const Runs few = [&] {
    Runs some = empty_runs({"N", "D", "C"});
    for (int i = 0; i < 8; ++i) {
      const double N = 1e4 * std::pow(2.0, i % 4), D = 1e6 * std::pow(3.0, i / 4);
      add_run(some, {N, D, 1e15}, truth.loss(N, D));
    }
    return some;
  }();
  CHECK_THROWS_AS(disagreement(*find_law("chinchilla"), few, options()), InputError);
}

TEST_CASE("a seed gives the same bytes at any number of threads") {
  const Truth truth;
  const Runs runs = isoflop_sweep(5, [&](double N, double D, double) { return truth.loss(N, D); });
  const auto text = [&](std::uint64_t seed, int threads) {
    return to_json(disagreement(*find_law("chinchilla"), runs, options(seed, threads))).dump();
  };
  CHECK(text(1, 1) == text(1, 3));
  CHECK(text(1, 1) != text(2, 1));
}
