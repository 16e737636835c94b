// The difference of two models' losses: exact where it can be told by hand, and an interval that covers as often as theory says.
#include "eval/paired_losses.hpp"

#include <cmath>
#include <limits>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::eval;

namespace {

ClusteredMean losses_of(const std::vector<std::pair<double, std::uint64_t>>& clusters) {
  ClusteredMean losses;
  for (std::size_t g = 0; g < clusters.size(); ++g) losses.add(g, clusters[g].first, clusters[g].second);
  return losses;
}

bool same(const PairedDifference& a, const PairedDifference& b) {
  return a.mean == b.mean && a.low == b.low && a.high == b.high;
}

}  // namespace

TEST_CASE("sums of a cluster that comes in pieces add up") {
  ClusteredMean losses;
  losses.add(3, 1.5, 2);
  losses.add(3, 2.5, 3);
  losses.add(4, 1.0, 5);
  losses.add(3, 1.0, 1);  // behind another: one of its own
  CHECK(losses.clusters() == 3);
  CHECK(losses.count() == 11);
  CHECK(losses.mean() == 6.0 / 11);
  CHECK(std::isnan(ClusteredMean().mean()));
}

TEST_CASE("a model differs from itself by exactly nothing") {
  const ClusteredMean a = losses_of({{1.25, 3}, {7.1, 2}, {1e30, 1}, {-4, 9}});
  for (const std::uint64_t seed : {1, 2}) {
    const PairedDifference d = paired_difference(a, a, seed);
    CHECK(d.mean == 0);
    CHECK(d.low == 0);
    CHECK(d.high == 0);
  }
}

TEST_CASE("of two clusters the bootstrap has three values, of one it has none") {
  // Means 1 and 5 with probability 1/4 each, their mean else: 2.5% lie below all of them.
  const ClusteredMean a = losses_of({{12, 2}, {20, 2}}), b = losses_of({{10, 2}, {10, 2}});
  const PairedDifference d = paired_difference(a, b, 1);
  CHECK(d.mean == 3);
  CHECK(d.low == 1);
  CHECK(d.high == 5);
  const PairedDifference back = paired_difference(b, a, 1);
  CHECK(back.mean == -3);
  CHECK(back.low == -5);
  CHECK(back.high == -1);
  const PairedDifference one = paired_difference(losses_of({{4, 2}}), losses_of({{1, 2}}), 1);
  CHECK(one.mean == 1.5);
  CHECK(std::isnan(one.low));
  CHECK(std::isnan(one.high));
}

TEST_CASE("clusters weigh by their tokens, in the mean and in the samples") {
  // 9 tokens that differ by 1 and 1 that differs by 11: samples of both have means 1, 2 and 11.
  const PairedDifference d =
      paired_difference(losses_of({{19, 9}, {12, 1}}), losses_of({{10, 9}, {1, 1}}), 1);
  CHECK(d.mean == 2);
  CHECK(d.low == 1);
  CHECK(d.high == 11);
}

TEST_CASE("the interval depends on the seed, and on nothing else") {
  std::vector<std::pair<double, std::uint64_t>> one, other;
  const Rng rng(1, 1);
  for (std::uint64_t g = 0; g < 30; ++g) one.emplace_back(rng.normal(g), 4), other.emplace_back(0.0, 4);
  const ClusteredMean a = losses_of(one), b = losses_of(other);
  CHECK(same(paired_difference(a, b, 7), paired_difference(a, b, 7)));
  CHECK_FALSE(same(paired_difference(a, b, 7), paired_difference(a, b, 8)));
}

TEST_CASE("clusters without tokens say nothing, and make no sample without any") {
  const ClusteredMean a = losses_of({{12, 2}, {0, 0}, {20, 2}}), b = losses_of({{10, 2}, {0, 0}, {10, 2}});
  const PairedDifference d = paired_difference(a, b, 1);
  CHECK(d.low == 1);
  CHECK(d.high == 5);
  const ClusteredMean none = losses_of({{0, 0}, {0, 0}});
  CHECK(std::isnan(paired_difference(none, none, 1).mean));
}

TEST_CASE("losses of other clusters are no pair") {
  const ClusteredMean a = losses_of({{1, 2}, {1, 2}});
  CHECK_THROWS_AS(paired_difference(a, losses_of({{1, 2}}), 1), ContractError);
  CHECK_THROWS_AS(paired_difference(a, losses_of({{1, 2}, {1, 3}}), 1), ContractError);
  ClusteredMean renumbered;
  renumbered.add(0, 1, 2), renumbered.add(2, 1, 2);
  CHECK_THROWS_AS(paired_difference(a, renumbered, 1), ContractError);
}

TEST_CASE("a loss that is no number makes no number, whichever cluster it is in") {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, infinity}) {
    for (const bool first : {false, true}) {
      const ClusteredMean good = losses_of({{1, 2}, {1, 2}, {1, 2}}),
                          broken = losses_of({{1, 2}, {bad, 2}, {1, 2}});
      const PairedDifference d =
          first ? paired_difference(broken, good, 1) : paired_difference(good, broken, 1);
      CHECK_FALSE(std::isfinite(d.mean));
      CHECK(std::isnan(d.low));
      CHECK(std::isnan(d.high));
    }
  }
}

TEST_CASE("the interval covers the true difference as often as theory says") {
  // Differences of G clusters of one size are normal around m. The bootstrap's means are then normal too, with the sample's variance
  // over G (Efron and Tibshirani 1993, section 5.3), so that the interval ends at mean +- 1.96 sqrt((G-1)/G) se and covers with the
  // probability that |t| of G - 1 degrees of freedom is below.
  constexpr std::uint64_t kClusters = 20, kTrials = 200, kTokens = 5;
  constexpr double kTrue = 0.25;
  int covered = 0;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    const Rng noise(11, trial), common(12, trial);
    std::vector<std::pair<double, std::uint64_t>> a, b;
    for (std::uint64_t g = 0; g < kClusters; ++g) {
      const double text = 100 * common.normal(g);  // both models find a text hard: pairing takes it off
      b.emplace_back(text, kTokens);
      a.emplace_back(text + kTokens * (kTrue + 0.1 * noise.normal(g)), kTokens);
    }
    const PairedDifference d = paired_difference(losses_of(a), losses_of(b), trial);
    REQUIRE(d.low < d.mean);
    REQUIRE(d.mean < d.high);
    REQUIRE(d.high - d.low < 0.3);  // 2 * 1.96 * 0.1 / sqrt(20) = 0.09; unpaired it would be 600 times that
    covered += d.low <= kTrue && kTrue <= d.high;
  }
  const double g = kClusters;
  const double expected = 2 * student_t_cdf(1.959964 * std::sqrt((g - 1) / g), g - 1) - 1;  // 0.929
  const double sd = std::sqrt(expected * (1 - expected) / kTrials);
  CHECK(std::abs(covered / double(kTrials) - expected) < 4 * sd);
}

TEST_CASE(
    "of several models the sum of what they lose more is a difference as of one, and draws them together") {
  const ClusteredMean b = losses_of({{10, 2}, {12, 2}, {9, 3}}), one = losses_of({{11, 2}, {15, 2}, {8, 3}}),
                      two = losses_of({{9, 2}, {9, 2}, {10, 3}});
  const ClusteredMean* const both[] = {&one, &two};
  const PairedDifference sum = summed_difference(both, b, 1);
  // In every cluster the two together lose as much more as nothing: +1 -1, +3 -3, -1 +1.
  CHECK(sum.mean == Approx(0).margin(1e-15));
  CHECK(sum.low == Approx(0).margin(1e-15));
  CHECK(sum.high == Approx(0).margin(1e-15));
  const ClusteredMean* const twice[] = {&one, &one};
  const PairedDifference doubled = summed_difference(twice, b, 1), alone = paired_difference(one, b, 1);
  CHECK(doubled.mean == 2 * alone.mean);
  CHECK(doubled.low == 2 * alone.low);
  CHECK(doubled.high == 2 * alone.high);
  CHECK(same(summed_difference({}, b, 1), {0, 0, 0}));
}
