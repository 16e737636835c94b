#include "quant/activations/channel_overlap.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;

TEST_CASE("layers with the same channels have more in common than by chance") {
  const std::vector<std::vector<Index>> same(4, {3, 9, 40}), apart = {{1, 2}, {3, 4}, {5, 6}};
  const ChannelOverlap shared = channel_overlap(same, 64, 999, 1);
  CHECK(shared.observed == 1);
  CHECK(shared.p == 0.001);  // no draw comes near
  CHECK(channel_overlap(apart, 64, 999, 1).observed == 0);
  CHECK(channel_overlap(apart, 64, 999, 1).p == 1);
  // 1 of 3 in the one pair of equals, of three pairs.
  CHECK(channel_overlap({{1, 2, 3}, {3, 4, 5}, {6, 7, 8}}, 64, 9, 1).observed == Approx(1.0 / 9));
  // Two channels of three each share one at least: half of the set, or all of it.
  const ChannelOverlap close = channel_overlap({{0, 1}, {1, 2}}, 3, 2000, 4);
  REQUIRE(close.null.size() == 2000);
  for (const double draw : close.null) CHECK((draw == 0.5 || draw == 1));
  // All of it with probability 1/3: expected 2/3, and p, which counts ties, is 1.
  CHECK(std::abs(close.expected - 2.0 / 3) < 6 * std::sqrt(0.25 * 2.0 / 9 / 2000));
  CHECK(close.p == 1);
  CHECK(std::isnan(channel_overlap({{1, 2}}, 64, 9, 1).observed));
  CHECK(std::isnan(channel_overlap({{}, {}}, 64, 9, 1).p));
}

TEST_CASE("the null is what random layers have in common") {
  // Two sets of k of n have k^2/n channels in common on average, with a variance below that (hypergeometric): of the share, 1/n. A draw's
  // mean over pairs has no more.
  const Index n = 50, k = 5;
  const std::uint64_t draws = 4000;
  const ChannelOverlap o =
      channel_overlap({{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9}, {0, 1, 2, 3, 4}, {20, 21, 22, 23, 24}}, n, draws, 7);
  CHECK(std::abs(o.expected - double(k) / double(n)) < 6 * std::sqrt(1.0 / double(n) / double(draws)));
  // p of layers that are random themselves is uniform: over 200 of them its mean is 1/2 within six standard errors.
  double sum = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    std::vector<std::vector<Index>> layers;
    for (std::uint64_t l = 0; l < 6; ++l) layers.push_back(random_channels(n, {}, k, 1000 + i, l));
    sum += channel_overlap(layers, n, 199, i).p;
  }
  // Ties count for the null, so p leans to 1, by at most half of the likeliest value's weight (0.2 here).
  CHECK(sum / 200 > 0.5 - 6 * std::sqrt(1.0 / 12 / 200));
  CHECK(sum / 200 < 0.5 + 0.1 + 6 * std::sqrt(1.0 / 12 / 200));
  CHECK(channel_overlap({{0, 1}, {1, 2}}, n, 50, 3).expected ==
        channel_overlap({{0, 1}, {1, 2}}, n, 50, 3).expected);
}

TEST_CASE("ties count for the null, however the shares of pairs were added up") {
  // Sets of 3: the overlap times 3 and the number of pairs is a whole number, and so compared without rounding.
  for (std::uint64_t i = 0; i < 20; ++i) {
    std::vector<std::vector<Index>> layers;
    for (std::uint64_t l = 0; l < 7; ++l) layers.push_back(random_channels(9, {}, 3, 2000 + i, l));
    const ChannelOverlap o = channel_overlap(layers, 9, 500, i);
    const auto common = [](double overlap) { return std::lround(overlap * 3 * 21); };
    const auto as_large =
        std::ranges::count_if(o.null, [&](double draw) { return common(draw) >= common(o.observed); });
    CHECK(o.p == static_cast<double>(1 + as_large) / 501);
  }
}

TEST_CASE("draws end when they are told to, and what was drawn counts") {
  int asked = 0;
  const ChannelOverlap o = channel_overlap({{0, 1}, {1, 2}}, 9, 500, 3, [&] { return ++asked > 40; });
  CHECK(o.draws == 40);
  CHECK(o.null == channel_overlap({{0, 1}, {1, 2}}, 9, 40, 3).null);
  CHECK(o.p == channel_overlap({{0, 1}, {1, 2}}, 9, 40, 3).p);
}

TEST_CASE("random channels are others, each as often as any") {
  std::map<Index, int> times;
  for (std::uint64_t draw = 0; draw < 4000; ++draw) {
    const std::vector<Index> chosen = random_channels(10, {2, 7}, 3, 5, draw);
    REQUIRE(chosen.size() == 3);
    REQUIRE(std::ranges::is_sorted(chosen));
    REQUIRE(std::ranges::adjacent_find(chosen) == chosen.end());
    for (const Index j : chosen) ++times[j];
  }
  CHECK(times.size() == 8);
  CHECK(times.count(2) + times.count(7) == 0);
  // 4000 draws with probability 3/8: six standard deviations.
  for (const auto& [channel, count] : times)
    CHECK(std::abs(count - 1500) < 6 * std::sqrt(4000 * 3.0 / 8 * 5 / 8));
  CHECK(random_channels(4, {}, 4, 1, 1) == std::vector<Index>{0, 1, 2, 3});
  CHECK_THROWS_AS(random_channels(4, {1}, 4, 1, 1), ContractError);
}

TEST_CASE("the top of a layer is that of all of its states together, each by its own scale") {
  ActivationSums sums;
  const std::vector<float> quiet = {1, 3, 1, 2}, loud = {100, 100, 500, 100};
  sums.add({"qkv", 0}, {quiet.data(), 1, 4}, 0, 1);
  sums.add({"up", 0}, {loud.data(), 1, 4}, 0, 1);
  sums.add({"qkv", 1}, {quiet.data(), 1, 4}, 0, 1);
  sums.add({"down", 1}, {loud.data(), 1, 4}, 0, 1);  // not asked
  const std::vector<std::string> sites = {"qkv", "up"};
  CHECK(top_by_layer(sums, sites, 1) == std::vector<std::vector<Index>>{{2}, {1}});
  CHECK(top_by_layer(sums, sites, 2) == std::vector<std::vector<Index>>{{1, 2}, {1, 3}});
  CHECK(top_of_all(sums, sites, 2) == std::vector<Index>{1, 2});
}
