#include "quant/activations/outlier_survey.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "quant/activations/activation_probe.hpp"
#include "quant/activations/norm_split.hpp"
#include "quant/random_model.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;
using loglog::testing::RandomModel;

namespace {

constexpr Index kWidth = RandomModel::kWidth;

OutlierSurvey surveyed(RandomModel& model, SurveySettings settings = {}) {
  settings.permutations = 99;
  return *survey(
      [&](const std::vector<ActivationSink*>& sinks) {
        ActivationProbe probe(sinks);
        model.run(&probe);
        return true;
      },
      settings);
}

// The residual basis turned by two reflections, which keep the root mean square: I - 2 u u^T, I - 2 v v^T.
void rotate(RandomModel& s) {
  std::vector<std::vector<double>> axes(2, std::vector<double>(kWidth));
  for (std::uint64_t a = 0; a < 2; ++a) {
    double norm = 0;
    for (std::size_t j = 0; j < kWidth; ++j) norm += std::pow(axes[a][j] = Rng(6, a).normal(j), 2);
    for (double& x : axes[a]) x /= std::sqrt(norm);
  }
  const auto reflect = [&](float* x, Index step) {
    for (const std::vector<double>& u : axes) {
      double along = 0;
      for (Index j = 0; j < kWidth; ++j) along += u[static_cast<std::size_t>(j)] * double(x[j * step]);
      for (Index j = 0; j < kWidth; ++j)
        x[j * step] = static_cast<float>(double(x[j * step]) - 2 * along * u[static_cast<std::size_t>(j)]);
    }
  };
  for (const model::NamedParameter& p : s.gpt.parameters()) {
    const bool writes =
        p.name.starts_with("embedding") || p.name.ends_with("out.weight") || p.name.ends_with("down.weight");
    const bool reads = p.name.ends_with("qkv.weight") || p.name.ends_with("up.weight");
    if (writes)
      for (Index i = 0; i < p.tensor.rows; ++i) reflect(p.tensor.value + i * kWidth, 1);
    if (reads)
      for (Index i = 0; i < p.tensor.cols; ++i) reflect(p.tensor.value + i, p.tensor.cols);
  }
  s.gpt.values_changed();
}

}  // namespace

TEST_CASE("planted outliers are found, and nothing else") {
  for (const std::string norm : {"layernorm", "rmsnorm"}) {
    RandomModel plain(norm), planted(norm);
    const std::vector<Index> channels = {3, 17, 40, 63};
    planted.plant(channels, 64);
    REQUIRE(plain.run(nullptr) == planted.run(nullptr));  // the same function, bit for bit
    const OutlierSurvey none = surveyed(plain), found = surveyed(planted);
    CHECK(none.outliers().empty());
    CHECK(none.criteria.back().verdict.outliers.empty());
    CHECK(found.outliers() == channels);
    CHECK(found.criteria.back().is_relative);
    CHECK(found.criteria.back().verdict.outliers.size() == channels.size());
    for (const OutlierChannel& c : found.criteria.front().verdict.outliers) CHECK(c.layer_share == 1);
    CHECK(found.overlap.p == 0.01);
    // Four channels of 64 with 64^2 times the energy: nearly 64 / 4 of kurtosis.
    CHECK(found.kurtosis({"qkv", "up"}) > 10);
    CHECK(none.kurtosis({"qkv", "up"}) < 1.5);
    // Streams do not know of it.
    CHECK(found.sums.find({"mlp_stream", 2})->rms() == none.sums.find({"mlp_stream", 2})->rms());
    // A gain of 64 on what the norm makes, which is what it was.
    const Channel c = found.sums.find({"qkv", 1})->channels()[17],
                  z = none.sums.find({"qkv", 1})->channels()[17];
    const NormSplit parts = split(c, 64, 0);
    CHECK(parts.z_rms == Approx(std::sqrt(z.squares / 256)));
    CHECK(parts.z_largest == Approx(std::abs(z.largest)));
  }
}

TEST_CASE("a random model has no outliers in any basis") {
  RandomModel plain("rmsnorm"), turned("rmsnorm");
  rotate(turned);
  const std::vector<float> a = plain.run(nullptr), b = turned.run(nullptr);
  for (std::size_t i = 0; i < a.size(); ++i)
    REQUIRE(a[i] == Approx(b[i]).epsilon(1e-3));  // the same function
  CHECK(surveyed(turned).outliers().empty());
  CHECK(surveyed(turned).criteria.back().verdict.outliers.empty());
  // And channels that the rotation mixed are none of the planted ones' kind: kurtosis stays that of even channels.
  CHECK(surveyed(turned).kurtosis({"qkv", "up"}) < 1.5);
}

TEST_CASE("no number depends on sequences per pass or on threads") {
  RandomModel whole;
  const OutlierSurvey a = surveyed(whole);
  for (const Index per_pass : {1, 4}) {
    RandomModel parts("layernorm", per_pass, 2);
    const OutlierSurvey b = surveyed(parts);
    REQUIRE(a.sums.entries().size() == b.sums.entries().size());
    CHECK(a.sums.entries().size() == 4 * 6 + 2);
    for (const ActivationSums::Entry& e : a.sums.entries()) {
      const ChannelSums& other = *b.sums.find(e.spot);
      CHECK(e.sums.kurtosis() == other.kurtosis());
      CHECK(e.sums.max_to_median() == other.max_to_median());
      CHECK(e.sums.median_magnitude() == other.median_magnitude());
    }
    CHECK(a.criteria.back().counts->positions() == b.criteria.back().counts->positions());
    CHECK(a.overlap.p == b.overlap.p);
  }
}

TEST_CASE("massive activations are large and alone") {
  ChannelSums s(4);
  std::vector<MagnitudeHistogram> scratch;
  std::vector<float> x(100 * 4, 0.25f);
  x[4 * 7 + 1] = -260;  // above 100 and 1,000 times the median
  x[4 * 8 + 2] = 248;   // not 1,000 times
  x[4 * 9 + 3] = 900;
  s.add({x.data(), 100, 4}, 0, 1, scratch);
  CHECK(massive_channels(s) == std::vector<Index>{3, 1});
  std::vector<float> small(100 * 4, 0.01f);
  small[5] = 99;
  ChannelSums t(4);
  t.add({small.data(), 100, 4}, 0, 1, scratch);
  CHECK(massive_channels(t).empty());
}

TEST_CASE("positions without finite numbers change no number but their count") {
  // Two layers of 3 + 40 rows; channel 2 is an outlier at 10 of 40. The first rows of the other are not numbers.
  const Rng rng(8, 8);
  std::vector<float> x(2 * 40 * 8), y(2 * 43 * 8, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(rng.normal(i));
  for (std::size_t r = 0; r < 40; r += 4) x[r * 8 + 2] = x[(40 + r) * 8 + 2] = -20;
  for (std::size_t layer : {0, 1}) std::copy_n(x.begin() + layer * 320, 320, y.begin() + layer * 344 + 24);
  const auto surveyed = [](const std::vector<float>& values, Index rows) {
    SurveySettings settings;
    settings.top = 2, settings.permutations = 99;
    return *survey(
        [&](const std::vector<ActivationSink*>& sinks) {
          for (ActivationSink* sink : sinks) {
            for (Index layer : {0, 1})
              sink->add({"qkv", layer}, {values.data() + layer * rows * 8, rows, 8}, 0, 1);
            sink->end_rows(rows);
          }
          return true;
        },
        settings);
  };
  const OutlierSurvey with = surveyed(y, 43), without = surveyed(x, 40);
  CHECK(with.sums.nonfinite() == 2 * 24);
  CHECK(without.sites == std::vector<std::string>{"qkv"});  // there is no up
  CHECK(with.kurtosis({"qkv"}) == without.kurtosis({"qkv"}));
  CHECK(with.max_to_median({"qkv"}) == without.max_to_median({"qkv"}));
  CHECK(with.tops == without.tops);
  for (const std::size_t i : {0, 1}) {
    const OutlierVerdict &a = with.criteria[i].verdict, &b = without.criteria[i].verdict;
    CHECK(with.criteria[i].counts->find({"qkv", 1})->threshold ==
          without.criteria[i].counts->find({"qkv", 1})->threshold);
    REQUIRE(a.outliers.size() == 1);
    CHECK(a.outliers[0].position_share == 0.25);
    CHECK(a.outliers[0].value_share == b.outliers[0].value_share);
    CHECK(a.values_per_2048 == b.values_per_2048);
  }
}

TEST_CASE("thresholds of the second pass outlive the survey, and are of its hidden states alone") {
  RandomModel model;
  OutlierSurvey kept = surveyed(model);
  const OutlierSurvey moved = std::move(kept);
  ThresholdCounts& counts = *moved.criteria.back().counts;
  const std::vector<float> row(kWidth, 1.0f);
  counts.add({"qkv", 0}, {row.data(), 1, kWidth}, 256, 1);
  CHECK(counts.find({"qkv", 0})->threshold == 6 * moved.sums.find({"qkv", 0})->median_rms());
  CHECK_THROWS_AS(counts.add({"qkv", 99}, {row.data(), 1, kWidth}, 256, 1), ContractError);
}
