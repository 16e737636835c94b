// Every way to an interval covers the truth about as often as it says, on the sweeps that it is for, and on any number of threads.
#include "fit/intervals.hpp"

#include <cmath>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/surface.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

Interval named(const std::vector<Interval>& list, const std::string& name) {
  for (const Interval& item : list)
    if (item.name == name) return item;
  FAIL("no " << name);
  return {};
}

// Runs of five checkpoints each, whose errors are mostly their run's own.
Runs checkpoints_of_runs(std::uint64_t seed, const Truth& truth) {
  Runs runs = empty_runs({"N", "D"});
  const Rng of_run(seed, 1), of_row(seed, 2);
  int run = 0;
  for (int i = 0; i < 6; ++i)
    for (const double ratio : {5.0, 20.0, 40.0, 80.0}) {
      const double N = 1e4 * std::pow(300.0, i / 5.0),
                   own = 0.006 * of_run.normal(static_cast<std::uint64_t>(run));
      for (int c = 1; c <= 5; ++c) {
        const double D = N * ratio * c / 5;
        const double z = own + 0.002 * of_row.normal(static_cast<std::uint64_t>(runs.size()));
        add_run(runs, {N, D}, truth.loss(N, D) * std::exp(z), run);
      }
      ++run;
    }
  return runs;
}

// How many of the sweeps have the truth of alpha inside.
int covered(IntervalKind kind, int sweeps, const std::function<Runs(std::uint64_t)>& sweep) {
  int inside = 0;
  for (int s = 0; s < sweeps; ++s) {
    const FitResult r = fit_surface(*find_law("chinchilla"), sweep(static_cast<std::uint64_t>(100 + s)),
                                    {std::nullopt, {kind, 150, 1, 2}});
    const Interval alpha = named(r.params, "alpha");
    inside += alpha.low <= Truth().alpha && Truth().alpha <= alpha.high;
  }
  return inside;
}

}  // namespace

TEST_CASE("of independent runs each kind covers 95 in 100") {
  const auto sweep = [](std::uint64_t seed) { return lab_sweep(0.003, seed); };
  constexpr int kSweeps = 80;  // 76 are expected; fewer than 69 with a chance below 0.003
  for (const IntervalKind kind :
       {IntervalKind::bootstrap, IntervalKind::noise, IntervalKind::jackknife, IntervalKind::profile}) {
    INFO(kIntervalKinds[static_cast<int>(kind)]);
    CHECK(covered(kind, kSweeps, sweep) >= 69);
  }
}

TEST_CASE("of runs with several rows the jackknife covers, and rows taken for runs do not") {
  const auto clustered = [](std::uint64_t seed) { return checkpoints_of_runs(seed, {}); };
  const auto naive = [&](std::uint64_t seed) {
    Runs runs = clustered(seed);
    for (int i = 0; i < runs.size(); ++i) runs.cluster[static_cast<std::size_t>(i)] = i;
    runs.clusters = runs.size();
    return runs;
  };
  CHECK(covered(IntervalKind::automatic, 60, clustered) >= 51);
  CHECK(covered(IntervalKind::bootstrap, 60, naive) < 48);  // 63% by simulation
  const FitResult r =
      fit_surface(*find_law("chinchilla"), clustered(1), {1e-2, {IntervalKind::automatic, 10}});
  CHECK_THAT(r.interval_method, Contains("jackknife over 24 runs"));
}

TEST_CASE("one run more is expected where a straight line in logs expects it") {
  const Rng rng(5, 0);
  Runs runs = empty_runs({"N"});
  std::vector<double> x, y;
  for (std::uint64_t i = 0; i < 12; ++i) {
    const double N = 1e4 * std::pow(2.0, static_cast<double>(i));
    add_run(runs, {N}, 30 * std::pow(N, -0.2) * std::exp(0.02 * rng.normal(i)));
    x.push_back(std::log(N)), y.push_back(std::log(runs.loss.back()));
  }
  const FitResult r = fit_surface(*find_law("power-N"), runs, {10.0, {IntervalKind::profile, 1}, {{1e9}}});
  REQUIRE(r.predictions.size() == 1);
  double sxx = 0, sxy = 0, squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sxx += std::pow(x[i] - mean(x), 2), sxy += (x[i] - mean(x)) * y[i];
  for (std::size_t i = 0; i < x.size(); ++i)
    squares += std::pow(y[i] - mean(y) - sxy / sxx * (x[i] - mean(x)), 2);
  const double away = std::log(1e9) - mean(x), t = student_t_quantile(0.975, 10);
  const double there = mean(y) + sxy / sxx * away;
  const double of_law = t * std::sqrt(squares / 10 * (1.0 / 12 + away * away / sxx));
  const double of_run = t * std::sqrt(squares / 10 * (1 + 1.0 / 12 + away * away / sxx));
  const Prediction& p = r.predictions.front();
  CHECK(std::log(p.loss.value) == Approx(there).epsilon(1e-8));
  CHECK(std::log(p.loss.high) == Approx(there + of_law).epsilon(1e-6));
  CHECK(std::log(p.new_run.low) == Approx(there - of_run).epsilon(1e-6));
  CHECK(std::log(p.new_run.high) == Approx(there + of_run).epsilon(1e-6));
}

TEST_CASE("no kind depends on threads, and a seed is a seed") {
  const Runs runs = lab_sweep(0.01, 4);
  const auto text = [&](IntervalKind kind, int threads, std::uint64_t seed) {
    return to_json(
               fit_surface(*find_law("chinchilla"), runs, {1e-2, {kind, 40, seed, threads}, {{1e7, 1e9}}}))
        .dump();
  };
  for (int kind = 0; kind < static_cast<int>(std::size(kIntervalKinds)); ++kind) {
    INFO(kIntervalKinds[kind]);
    const std::string alone = text(static_cast<IntervalKind>(kind), 1, 1);
    for (const int threads : {2, 5}) CHECK(text(static_cast<IntervalKind>(kind), threads, 1) == alone);
  }
  CHECK(text(IntervalKind::noise, 1, 1) != text(IntervalKind::noise, 1, 2));
}

TEST_CASE("the jackknife of a mean is its standard error") {
  // Of a power law at two sizes, five runs each: the loss at one of them is the mean of its five, in logs.
  Runs runs = empty_runs({"N"});
  std::vector<double> logs;
  const Rng rng(9, 0);
  for (std::uint64_t i = 0; i < 10; ++i) {
    add_run(runs, {i % 2 == 0 ? 1e4 : 1e6}, std::exp((i % 2 == 0 ? 2 : 1) + 0.05 * rng.normal(i)));
    logs.push_back(std::log(runs.loss.back()));
  }
  std::vector<double> group;
  for (std::size_t i = 0; i < logs.size(); i += 2) group.push_back(logs[i]);
  const FitResult r = fit_surface(*find_law("power-N"), runs, {10.0, {IntervalKind::jackknife, 1}, {{1e4}}});
  // sum of (1 - h) (mean without i - mean)^2 = variance / n over the group's n = 5 with h = 1 / n; nothing comes from the other.
  const double se = std::sqrt(variance(group) / 5);
  const double half = student_t_quantile(0.975, 8) * se;
  CHECK(std::log(r.predictions[0].loss.high) - std::log(r.predictions[0].loss.value) ==
        Approx(half).epsilon(1e-5));
}

TEST_CASE("too few runs give no interval, and say so") {
  Runs runs = lab_sweep(0.01, 4);
  for (int i = 0; i < runs.size(); ++i) runs.cluster[static_cast<std::size_t>(i)] = i % 6;
  runs.clusters = 6;
  const FitResult r = fit_surface(*find_law("chinchilla"), runs, {1e-2, {}, {{1e7, 1e9}}});
  CHECK(std::isnan(r.params[0].low));
  CHECK(std::isnan(r.predictions[0].loss.low));
  CHECK(r.predictions[0].loss.value > 1);
  CHECK(std::ranges::any_of(r.warnings,
                            [](const auto& w) { return w.find("6 runs for 5 parameters") != w.npos; }));
  CHECK_THROWS_AS(interval_kind_named("bayes"), UsageError);
}
