#include "fit/surface.hpp"

#include <cmath>

#include "base/error.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

const SurfaceOptions kNoIntervals{1e-3, {IntervalKind::automatic, 0}};

SurfaceOptions bootstrapped(std::optional<double> delta, int resamples, std::uint64_t seed = 1,
                            int threads = 1) {
  return {delta, {IntervalKind::bootstrap, resamples, seed, threads}};
}

double param(const FitResult& result, const std::string& name) {
  for (const auto* list : {&result.params, &result.optimum}) {
    for (const Interval& item : *list) {
      if (item.name == name) return item.value;
    }
  }
  FAIL("no " << name);
  return NAN;
}

bool warns(const FitResult& result, const std::string& text) {
  for (const std::string& warning : result.warnings) {
    if (warning.find(text) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("units and the order of the rows change nothing but the coefficients") {
  const Law& law = *find_law("chinchilla");
  const Runs runs = lab_sweep(0.01, 3);
  Runs other = empty_runs({"N", "D"});
  for (int i = runs.size() - 1; i >= 0; --i) {
    const auto k = static_cast<std::size_t>(i);
    add_run(other, {runs.columns[0][k] / 1e6, runs.columns[1][k] / 1e9}, runs.loss[k]);
  }
  const FitResult a = fit_surface(law, runs, kNoIntervals);
  const FitResult b = fit_surface(law, other, kNoIntervals);
  REQUIRE(a.objective == Approx(b.objective).epsilon(1e-9));
  for (const char* name : {"E", "alpha", "beta", "a"})
    REQUIRE(param(a, name) == Approx(param(b, name)).epsilon(1e-5));
  REQUIRE(param(a, "A") == Approx(param(b, "A") * std::pow(1e6, param(a, "alpha"))).epsilon(1e-4));
}

TEST_CASE("a seed gives the same bytes at any number of threads, another seed others") {
  const Law& law = *find_law("chinchilla");
  const Runs runs = lab_sweep(0.01, 4);
  const auto text = [&](std::uint64_t seed, int threads) {
    return to_json(fit_surface(law, runs, bootstrapped(1e-2, 40, seed, threads))).dump();
  };
  REQUIRE(text(1, 1) == text(1, 3));
  REQUIRE(text(1, 1) != text(2, 1));
}

TEST_CASE("pair-bootstrap intervals of the floor and the exponents cover the truth") {
  // 40 sweeps of nominal 95%: fewer than 33 hits have probability 1e-4 even at a true 92%.
  const Law& law = *find_law("chinchilla");
  const Truth truth;
  int hits_E = 0, hits_alpha = 0, hits_a = 0;
  for (std::uint64_t sweep = 0; sweep < 40; ++sweep) {
    const FitResult r =
        fit_surface(law, lab_sweep(0.003, 100 + sweep), bootstrapped(std::nullopt, 150, sweep, 2));
    const auto covers = [](const Interval& i, double value) { return i.low <= value && value <= i.high; };
    hits_E += covers(r.params[0], truth.E) ? 1 : 0;
    hits_alpha += covers(r.params[2], truth.alpha) ? 1 : 0;
    hits_a += covers(r.optimum[0], truth.beta / (truth.alpha + truth.beta)) ? 1 : 0;
  }
  CAPTURE(hits_E, hits_alpha, hits_a);
  for (const int hits : {hits_E, hits_alpha, hits_a}) REQUIRE(hits >= 33);
}

TEST_CASE("where the resamples see no floor its interval begins at 0, and a warning says so") {
  Truth truth;
  truth.E = 0.02;  // far below the losses and lost in their noise
  const FitResult r =
      fit_surface(*find_law("chinchilla"), lab_sweep(0.1, 5, truth), bootstrapped(std::nullopt, 150, 1, 2));
  REQUIRE(r.params[0].name == "E");
  REQUIRE(r.params[0].low == 0);
  REQUIRE(r.params[0].high > truth.E);
  REQUIRE(warns(r, "the interval of E reaches 0"));
}

TEST_CASE("rows of one run are resampled together and widen the interval") {
  const Law& law = *find_law("chinchilla");
  const Runs single = lab_sweep(0.01, 5);
  Runs repeated = empty_runs({"N", "D"});  // each run five times over: no new information
  for (int i = 0; i < single.size(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    for (int copy = 0; copy < 5; ++copy)
      add_run(repeated, {single.columns[0][k], single.columns[1][k]}, single.loss[k], i);
  }
  Runs naive = repeated;
  for (int i = 0; i < naive.size(); ++i) naive.cluster[static_cast<std::size_t>(i)] = i;
  naive.clusters = naive.size();
  const auto width = [&](const Runs& runs) {
    const FitResult r = fit_surface(law, runs, bootstrapped(1e-2, 200, 1, 2));
    return r.params[0].high - r.params[0].low;
  };
  REQUIRE(width(repeated) > 0.6 * width(single));
  REQUIRE(width(naive) < 0.6 * width(repeated));
}

TEST_CASE("a sweep at constant tokens per parameter is not identified") {
  const Law& law = *find_law("chinchilla");
  Runs runs = empty_runs({"N", "D"});
  const Truth truth;
  for (int i = 0; i < 20; ++i) {
    const double N = 1e4 * std::pow(1.5, i);
    add_run(runs, {N, 20 * N}, truth.loss(N, 20 * N) * (1 + 0.002 * std::sin(7.0 * i)));
  }
  const FitResult result = fit_surface(law, runs, kNoIntervals);
  REQUIRE(warns(result, "not identified"));
  REQUIRE(result.optimum.empty());
  REQUIRE(to_json(result)["identified"] == false);
}

TEST_CASE("too few points are refused, short ranges and few runs are said") {
  const Law& law = *find_law("chinchilla");
  Runs runs = empty_runs({"N", "D"});
  for (int i = 0; i < 6; ++i) add_run(runs, {1e4 + i, 1e6 * (i + 1)}, 3.0 - 0.1 * i);
  REQUIRE_THROWS_AS(fit_surface(law, runs, kNoIntervals), InputError);
  REQUIRE_THROWS_WITH(fit_surface(law, runs, kNoIntervals), Contains("6 points") && Contains("at least 7"));
  add_run(runs, {1.2e4, 3e6}, 2.7);
  const FitResult result = fit_surface(law, runs, bootstrapped(1e-3, 10));
  REQUIRE(warns(result, "N spans"));
  REQUIRE(warns(result, "approximate"));
  REQUIRE_THROWS_AS(fit_surface(law, runs, bootstrapped(-1.0, 0)), UsageError);
}

TEST_CASE("the JSON has the shape that scripts rely on") {
  const auto json =
      to_json(fit_surface(*find_law("chinchilla"), lab_sweep(0.003, 1), bootstrapped(std::nullopt, 20)));
  REQUIRE(json["law"] == "chinchilla");
  REQUIRE(json["n"] == 40);
  for (const char* name : {"E", "A", "alpha", "B", "beta"}) {
    REQUIRE(json["params"][name]["lo"] <= json["params"][name]["value"]);
    REQUIRE(json["params"][name]["hi"] >= json["params"][name]["value"]);
  }
  REQUIRE(json["objective"]["value"].is_number());
  REQUIRE(json["objective"]["delta"].get<double>() == Approx(1.345 * 0.003).epsilon(0.4));
  REQUIRE(json["certificate"]["converged"] == true);
  REQUIRE(json["identified"] == true);
  REQUIRE(json["warnings"].is_array());
  REQUIRE(json["optimum"]["a"]["value"].is_number());
}
