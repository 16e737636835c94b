#include "quant/activations/threshold_counts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;

namespace {

constexpr Index kRows = 50, kWidth = 8, kLayers = 4;

// Values of `qkv` and `up` in four layers, 1 unless told otherwise.
struct States {
  std::vector<float> x = std::vector<float>(2 * kLayers * kRows * kWidth, 1.0f);
  float& at(int site, Index layer, Index row, Index channel) {
    return x[static_cast<std::size_t>(((site * kLayers + layer) * kRows + row) * kWidth + channel)];
  }
  ThresholdCounts counted(Index step = kRows, int threads = 1) const {
    ThresholdCounts counts({"qkv", "up"}, [](const Spot&) { return 6.0; });
    for (Index first = 0; first < kRows; first += step) {
      const Index rows = std::min(step, kRows - first);
      for (Index layer = 0; layer < kLayers; ++layer)
        for (int site : {0, 1})
          counts.add({site == 0 ? "qkv" : "up", layer},
                     {x.data() + ((site * kLayers + layer) * kRows + first) * kWidth, rows, kWidth},
                     static_cast<std::uint64_t>(first), threads);
      counts.end_rows(rows);
    }
    return counts;
  }
};

}  // namespace

TEST_CASE("an outlier reaches the magnitude in enough layers and at enough positions") {
  States s;
  for (Index r = 0; r < 3; ++r)
    s.at(0, 1, r, 2) = 6;  // 6% of positions, a quarter of the layers: just enough
  for (Index r = 0; r < 2; ++r) s.at(0, 1, r, 3) = 9;        // 4% of the positions
  for (Index r = 0; r < 50; ++r) s.at(1, 2, r, 4) = 5.999f;  // never
  for (Index r = 0; r < 50; ++r) s.at(1, 0, r, 5) = r < 10 ? 7.0f : -7.0f;
  s.at(0, 3, 7, 5) = -8;
  const OutlierVerdict v = judge(s.counted(), {0.25, 0.06});
  REQUIRE(v.outliers.size() == 2);
  CHECK(v.reached == 3);
  CHECK(v.outliers[0].channel == 2);
  CHECK(v.outliers[0].layer_share == 0.25);
  CHECK(v.outliers[0].position_share == 0.06);
  CHECK(v.outliers[0].value_share == 3.0 / (50 * 8));
  CHECK(v.outliers[0].values_per_2048 == Approx(2048 * 3.0 / 50));
  CHECK(v.outliers[0].sign_purity == 1);
  CHECK(v.outliers[0].positive);
  CHECK(v.outliers[1].channel == 5);
  CHECK(v.outliers[1].layers == std::vector<Index>{0, 3});
  CHECK(v.outliers[1].position_share == 1);  // one position twice counts once
  CHECK(v.outliers[1].sign_purity == Approx(41.0 / 51));
  CHECK_FALSE(v.outliers[1].positive);
  CHECK(v.layer_share == Approx(0.375));
  CHECK(v.sign_purity == Approx((3 + 41.0) / (3 + 51)));
  CHECK(judge(s.counted(), {0.26, 0.06}).outliers.size() == 1);
  CHECK(judge(s.counted(), {0.25, 0.04}).outliers.size() == 3);
  CHECK(judge(s.counted(), {0, 0}).outliers.size() == 3);  // one that never reaches it is none
}

TEST_CASE("positions of several states are counted once, however rows come") {
  States s;
  for (Index r = 0; r < 10; ++r) {
    s.at(0, 0, r, 1) = 10;
    s.at(1, 0, r + 5, 1) = -10;
  }
  for (const Index step : {50, 7, 1}) {
    for (const int threads : {1, 2}) {
      const ThresholdCounts counts = s.counted(step, threads);
      CHECK(counts.rows() == 50);
      CHECK(counts.positions()[1] == 15);
      CHECK(counts.find({"qkv", 0})->channels[1].values == 10);
      CHECK(counts.find({"up", 0})->channels[1].positive == 0);
    }
  }
}

TEST_CASE("sites beside the criterion are counted and decide nothing") {
  ThresholdCounts counts({"qkv"}, [](const Spot& s) { return s.site == "down" ? 2.0 : 6.0; });
  const std::vector<float> wide(20 * 32, 3.0f), narrow(20 * 8, 3.0f);
  counts.add({"qkv", 0}, {narrow.data(), 20, 8}, 0, 1);
  counts.add({"down", 0}, {wide.data(), 20, 32}, 0, 1);
  counts.end_rows(20);
  CHECK(counts.find({"down", 0})->channels[31].values == 20);
  CHECK(judge(counts, {}).reached == 0);
  CHECK(std::isnan(judge(counts, {}).layer_share));
  CHECK_THROWS_AS(counts.add({"qkv", 1}, {wide.data(), 20, 32}, 0, 1), ContractError);
}

TEST_CASE("what is not finite reaches nothing") {
  States s;
  s.at(0, 0, 0, 0) = std::numeric_limits<float>::infinity();
  s.at(0, 0, 1, 0) = std::numeric_limits<float>::quiet_NaN();
  CHECK(judge(s.counted(), {0, 0}).reached == 0);
}

TEST_CASE("shares are of what is finite") {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  States s;
  for (Index r = 0; r < 10; ++r) s.at(0, 1, r, 2) = 7;
  // Ten positions of channel 2 are nowhere a number, another ten not in one state; layer 3 has none at all.
  for (Index layer = 0; layer < kLayers; ++layer)
    for (const int site : {0, 1})
      for (Index r = 40; r < 50; ++r) s.at(site, layer, r, 2) = kNaN;
  for (Index r = 30; r < 40; ++r) s.at(1, 2, r, 2) = kNaN;
  for (const int site : {0, 1})
    for (Index r = 0; r < 50; ++r) s.at(site, 3, r, 2) = kNaN;
  for (const Index step : {50, 7}) {
    const ThresholdCounts counts = s.counted(step);
    CHECK(counts.finite_positions()[2] == 40);
    CHECK(counts.finite_positions()[1] == 50);
    CHECK(counts.find({"up", 2})->channels[2].finite == 30);
    const OutlierVerdict v = judge(counts, {});
    REQUIRE(v.outliers.size() == 1);
    CHECK(v.outliers[0].layer_share == 1.0 / 3);
    CHECK(v.outliers[0].position_share == 10.0 / 40);
    CHECK(v.outliers[0].value_share == 10.0 / (5 * 40 + 30));
    CHECK(v.outliers[0].values_per_2048 == 2048 * (10.0 * 6 / (5 * 40 + 30)));
  }
}
