// The numbers that claims on outliers are judged by, against such as one can work out by hand.
#include "studies/outliers_measures.hpp"

#include <cmath>

#include "base/rng.hpp"
#include "studies/quick_manifest.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;
using eval::OutlierRung;

namespace {

Manifest manifest() {
  return quick_manifest("outliers");
}

// Three sizes of two seeds, eight rungs each. kurtosis(loss, size, noise).
template <class Kurtosis>
Rungs ladder(Kurtosis kurtosis) {
  Rungs runs;
  std::uint64_t number = 0;
  const Rng rng(1, 1);
  for (const double size : {1.0, 2.0, 3.0})
    for (int seed = 0; seed < 2; ++seed) {
      auto& run = runs.emplace_back();
      for (int step = 1; step <= 8; ++step) {
        OutlierRung r;
        r.n = std::exp(size), r.step = step;
        r.loss = 4 - 0.2 * step - 0.1 * size + 0.01 * rng.normal(number++);
        r.kurtosis = kurtosis(r.loss, size, rng.normal(number++));
        r.max_to_median = 2 * r.kurtosis;
        r.outliers = {0, 0, 0, 0};
        run.push_back(r);
      }
    }
  return runs;
}

Finding judged(Finding f) {
  std::vector<Finding> all = {std::move(f)};
  judge(all, {{"planted", true, true, "found"}});
  return all[0];
}

eval::Zeroed zeroed(double loss, double top1, std::vector<double> of_clusters) {
  eval::Zeroed z;
  z.loss = loss, z.top1 = top1;
  for (std::size_t i = 0; i < of_clusters.size(); ++i) z.clusters.add(i, of_clusters[i], 1);
  return z;
}

OutlierRung with_kurtosis(double kurtosis) {
  OutlierRung r;
  r.kurtosis = kurtosis;
  return r;
}

}  // namespace

TEST_CASE("what goes with the loss is told from what goes with size") {
  const Finding by_loss = judged(
      emergence({"C1"}, ladder([](double loss, double, double e) { return std::exp(-loss + 0.05 * e); }),
                manifest(), 1));
  CHECK(by_loss.verdict == Verdict::reproduced);
  REQUIRE(by_loss.measures.size() == 4);
  CHECK(by_loss.measures[0].value < -0.95);
  CHECK(by_loss.measures[1].value > 0.5);
  const Finding by_size = judged(
      emergence({"C1"}, ladder([](double, double size, double e) { return std::exp(size + 0.05 * e); }),
                manifest(), 1));
  CHECK(by_size.verdict != Verdict::reproduced);
  CHECK(by_size.measures[1].value < 0);
  const Finding rising = judged(
      emergence({"C1"}, ladder([](double loss, double, double e) { return std::exp(loss + 0.05 * e); }),
                manifest(), 1));
  CHECK(rising.verdict == Verdict::contradicted);
  for (const Measure& m : by_loss.measures) CHECK(m.least > 0);
}

TEST_CASE("rungs that are not numbers are left out, and too few are no test") {
  Rungs runs = ladder([](double loss, double, double e) { return std::exp(-loss + 0.05 * e); });
  const double before = ranks_of(runs, &OutlierRung::kurtosis, 1).with_loss.value;
  OutlierRung bad = with_kurtosis(1e9);
  bad.loss = -5, bad.n = 1, bad.is_finite = false;
  runs[2].push_back(bad);
  runs.insert(runs.begin() + 1, std::vector{bad});
  CHECK(ranks_of(runs, &OutlierRung::kurtosis, 1).with_loss.value == before);
  CHECK(ranks_of(runs, &OutlierRung::kurtosis, 1).runs == 6);  // of seven
  CHECK(ranks_of(runs, &OutlierRung::kurtosis, 1).with_loss.samples.size() == kOutlierResamples);
  runs.resize(1);
  CHECK(ranks_of(runs, &OutlierRung::kurtosis, 1).runs == 1);
  const Ranks two = ranks_of({{runs[0][0]}, {runs[0][1]}}, &OutlierRung::kurtosis, 1);
  CHECK(two.runs == 0);
  CHECK(std::isnan(two.with_loss.value));
  const Finding few = judged(emergence({"C1"}, runs, manifest(), 1));
  CHECK(few.verdict == Verdict::not_testable);
  CHECK_THAT(few.why, Contains("8 checkpoints, 12 are asked for"));
}

TEST_CASE("zeroing is told by what it does over what random channels do") {
  // Without the chosen ones perplexity is 1.5 times as large, with two draws of others 1.01 and 0.99 times; in both clusters.
  const double rise = std::log(1.5), up = std::log(1.01), down = std::log(0.99);
  const eval::Zeroed whole = zeroed(2, 0.40, {1.8, 2.2});
  eval::Zeroing z;
  z.chosen = zeroed(2 + rise, 0.20, {1.8 + rise, 2.2 + rise});
  z.random = {zeroed(2 + up, 0.39, {1.8 + up, 2.2 + up}), zeroed(2 + down, 0.43, {1.8 + down, 2.2 + down})};
  const ZeroingRatios r = zeroing_ratios("g", whole, z, manifest(), 1);
  CHECK(r.perplexity.value == Approx(0.5 / 0.01));
  CHECK(r.perplexity.low == 10);
  for (const double s : r.perplexity.samples) CHECK(s == Approx(50));  // whatever is drawn
  // 0.20 is lost; 0.01 and -0.03 by the others: 0.02 in the mean, 0.01 or 0.03 where one of them is drawn twice.
  CHECK(r.attention.value == Approx(10));
  CHECK(r.attention.low == 5);
  CHECK(r.attention.quantile(0) == Approx(0.2 / 0.03));
  CHECK(r.attention.quantile(1) == Approx(20));
  CHECK(r.attention.samples.size() == r.perplexity.samples.size());
  // A little more than random channels do is no effect.
  z.chosen = zeroed(2 + 1.5 * up, 0.385, {1.8 + 1.5 * up, 2.2 + 1.5 * up});
  z.random = std::vector<eval::Zeroed>(20, zeroed(2 + up, 0.39, {1.8 + up, 2.2 + up}));
  ZeroingRatios little = zeroing_ratios("g", whole, z, manifest(), 1);
  Finding f;
  f.measures = {std::move(little.perplexity), std::move(little.attention)};
  CHECK(judged(f).verdict == Verdict::not_at_this_scale);
}

TEST_CASE("layers share more than a permutation, than untrained ones and than in other bases") {
  quant::ChannelOverlap o;
  o.observed = 0.5, o.expected = 0.2;
  o.null = std::vector<double>(999, 0.2);
  o.null[5] = 0.5;  // a tie counts against
  const std::vector<Measure> m = sharing("g", o, {0.2, 0.3, 0.4}, {0.3, 0.4, 0.5}, manifest());
  REQUIRE(m.size() == 3);
  CHECK(m[0].value == Approx(0.3));
  CHECK(std::ranges::count_if(m[0].samples, [&](double x) { return x < m[0].low; }) == 1);
  // Mean 0.3, variance 0.01; for one more model 0.01 (1 + 1/3), t of 2 degrees at 97.5% 4.3027.
  CHECK(m[1].value == Approx(0.2));
  CHECK(m[1].quantile(0.975) == Approx(0.2 + 4.3027 * std::sqrt(0.01 * 4 / 3)).epsilon(0.01));
  CHECK(m[2].value == Approx(0.1));
  CHECK(m[2].quantile(0.975) == Approx(0.1 + 4.3027 * std::sqrt(0.01 * 4 / 3)).epsilon(0.01));
  // All like untrained models, or like the stream in any basis: nothing is shown.
  o.null = std::vector<double>(9999, 0.2);
  const std::vector<double> much = {0.45, 0.5, 0.55}, little = {0.20, 0.21, 0.19, 0.2, 0.2, 0.21, 0.19};
  Finding f;
  for (const auto& [untrained, rotated] : {std::pair{much, little}, {little, much}}) {
    f.measures = sharing("g", o, untrained, rotated, manifest());
    CHECK(judged(f).verdict == Verdict::underpowered);
  }
  f.measures = sharing("g", o, little, little, manifest());
  CHECK(judged(f).verdict == Verdict::reproduced);
  // As much as by permutation and in any basis, within a tenth of the channels: absent, not undecided.
  o.observed = 0.2;
  f.measures = sharing("g", o, little, little, manifest());
  CHECK(judged(f).verdict == Verdict::not_at_this_scale);
}

TEST_CASE("a factor is chosen by one seed and judged by the others") {
  const auto run = [](const char* variant, std::int64_t seed, double log_kurtosis) {
    return FactorRun{variant, seed, with_kurtosis(std::exp(log_kurtosis))};
  };
  std::vector<FactorRun> runs = {run("base", 1, 0.5), run("base", 2, 0.5), run("a", 1, 1.5),
                                 run("a", 2, 1.3),    run("b", 1, 0.3),    run("b", 2, 0.5),
                                 run("half", 1, -9.0)};
  const FactorEffects e = factor_effects(runs);
  REQUIRE(e.effects.size() == 2);  // the half one lacks a seed
  CHECK(e.effects[0].variant == "a");
  CHECK(e.effects[0].by_first == Approx(1));
  CHECK(e.effects[0].by_others == Approx(0.8));
  CHECK(e.effects[0].mean == Approx(0.9));
  // Variances 0, 0.02 and 0.02 of one degree each.
  CHECK(e.degrees == 3);
  CHECK(e.sd == Approx(std::sqrt(0.04 / 3)));
  CHECK(e.half_width(2) == Approx(3.18245 * e.sd).epsilon(1e-4));  // t of 3 degrees; variance 2 sd^2 / 2
  Finding f = strongest_factor({"C4"}, e, manifest());
  REQUIRE(f.measures.size() == 1);
  CHECK(f.measures[0].value == Approx(std::exp(0.8)));
  CHECK(f.measures[0].quantile(0.975) ==
        Approx(std::exp(0.8 + 3.18245 * e.sd * std::sqrt(2.0))).epsilon(0.02));
  CHECK_THAT(f.measures[0].name, Contains("a: kurtosis over the base's"));
  // One that lowers it.
  runs[2] = run("a", 1, -1.5), runs[3] = run("a", 2, -1.4);
  f = strongest_factor({"C4"}, factor_effects(runs), manifest());
  CHECK(f.measures[0].value == Approx(std::exp(1.9)));
  CHECK_THAT(f.measures[0].name, Contains("the base's kurtosis over its own"));
}

TEST_CASE("a factor that moves kurtosis by less than what counts is none") {
  std::vector<FactorRun> runs;
  for (std::int64_t seed = 1; seed <= 3; ++seed) {
    const double noise = 0.005 * static_cast<double>(seed);
    runs.push_back({"base", seed, with_kurtosis(std::exp(0.5 + noise))});
    runs.push_back({"a", seed, with_kurtosis(std::exp(0.5 + noise + std::log(1.1)))});
    runs.push_back({"b", seed, with_kurtosis(std::exp(0.5 - noise))});
  }
  const Finding f = judged(strongest_factor({"C4"}, factor_effects(runs), manifest()));
  REQUIRE(f.measures.size() == 1);
  CHECK(f.measures[0].value == Approx(1.1));
  CHECK(f.verdict == Verdict::not_at_this_scale);  // asked for: 2
}

TEST_CASE("runs that diverged leave the others their seeds") {
  const auto run = [](const char* variant, std::int64_t seed, double log_kurtosis) {
    return FactorRun{variant, seed, with_kurtosis(std::exp(log_kurtosis))};
  };
  // As many seeds, not the same ones.
  FactorEffects e = factor_effects({run("base", 1, 0), run("base", 3, 0), run("a", 1, 1), run("a", 2, 1)});
  CHECK(e.seeds == 2);
  CHECK(e.effects.empty());
  CHECK_THAT(judged(strongest_factor({"C4"}, e, manifest())).why, Contains("no variant has all"));
  // Of a base that lost its second seed, a variant that has it still is compared at the others.
  e = factor_effects({run("base", 1, 0), run("base", 3, 0), run("a", 1, 1), run("a", 2, 9), run("a", 3, 2)});
  REQUIRE(e.effects.size() == 1);
  CHECK(e.effects[0].by_first == Approx(1));
  CHECK(e.effects[0].by_others == Approx(2));
  // Activations that are no numbers are no run.
  e = factor_effects({run("base", 1, 0), run("base", 2, 0), run("a", 1, 1), run("a", 2, std::nan(""))});
  CHECK(e.effects.empty());
}

TEST_CASE("one seed does not judge a factor, and without a base nothing does") {
  const std::vector<FactorRun> one = {{"base", 1, with_kurtosis(1)}, {"a", 1, with_kurtosis(9)}};
  const Finding f = judged(strongest_factor({"C4"}, factor_effects(one), manifest()));
  CHECK(f.verdict == Verdict::not_testable);
  CHECK_THAT(f.why, Contains("one seed"));
  const FactorEffects alone = factor_effects({{"a", 1, with_kurtosis(9)}, {"a", 2, with_kurtosis(9)}});
  CHECK(alone.effects.empty());
  const Finding none = judged(strongest_factor({"C4"}, alone, manifest()));
  CHECK(none.verdict == Verdict::not_testable);
  CHECK_THAT(none.why, Contains("the base has diverged in every seed"));
}

TEST_CASE("without a dimension by 6.0 the criterion is not testable") {
  Rungs runs = ladder([](double loss, double, double) { return -loss; });
  const Finding none = judged(emergence_by_criterion({"C5"}, runs, manifest(), 1));
  CHECK(none.verdict == Verdict::not_testable);
  CHECK_THAT(none.why, Contains("none of 48 checkpoints"));
  for (auto& run : runs)
    for (OutlierRung& r : run) r.outliers[0] = 2;
  CHECK_THAT(judged(emergence_by_criterion({"C5"}, runs, manifest(), 1)).why, Contains("all of 48"));
  for (auto& run : runs)
    for (OutlierRung& r : run) r.outliers[0] = static_cast<std::size_t>(r.step);
  CHECK(judged(emergence_by_criterion({"C5"}, runs, manifest(), 1)).verdict == Verdict::reproduced);
  // Dimensions in one run of six alone: a third of the draws lack it and have no rank correlation, which speaks against the claim.
  for (std::size_t i = 1; i < runs.size(); ++i)
    for (OutlierRung& r : runs[i]) r.outliers[0] = 0;
  const Finding rare = judged(emergence_by_criterion({"C5"}, runs, manifest(), 1));
  REQUIRE(rare.measures.size() == 1);
  CHECK(rare.measures[0].undefined == Approx(std::pow(5.0 / 6, 6)).margin(0.03));
  CHECK(rare.verdict == Verdict::underpowered);
}
