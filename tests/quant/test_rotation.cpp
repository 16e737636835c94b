#include "quant/activations/rotation.hpp"

#include <cmath>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "kernels/isa.hpp"
#include "quant/activations/outlier_survey.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;

TEST_CASE("a rotation keeps lengths, and no direction is favoured") {
  const Index n = 96;
  const std::vector<double> q = random_rotation(n, 7);
  // Rows of unit length, at right angles. Sums of n products, each rounded.
  for (Index a = 0; a < n; ++a)
    for (Index b = 0; b <= a; ++b) {
      double sum = 0;
      for (Index j = 0; j < n; ++j)
        sum += q[static_cast<std::size_t>(a * n + j)] * q[static_cast<std::size_t>(b * n + j)];
      REQUIRE(std::abs(sum - (a == b)) < 4 * n * 0x1p-53);
    }
  // An element has mean 0 and variance 1/n: the sum of the diagonal over many rotations of 3 has variance n/n = 1.
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const std::vector<double> small = random_rotation(3, seed);
    sum += small[0] + small[4] + small[8];
  }
  CHECK(std::abs(sum / 2000) < 6 / std::sqrt(2000.0));
  CHECK(random_rotation(8, 1) == random_rotation(8, 1));
  CHECK(random_rotation(8, 1) != random_rotation(8, 2));
}

TEST_CASE("an outlier is one no more in a rotated basis") {
  constexpr Index kWidth = 128, kRows = 200;
  std::vector<float> x(kRows * kWidth);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(Rng(3, 1).normal(i));
  for (Index r = 0; r < kRows; ++r) x[static_cast<std::size_t>(r * kWidth + 17)] *= 8;
  ActivationSums rotated;
  const auto outliers = [&](bool turned) {
    SurveySettings settings;
    settings.sites = {"qkv"};
    settings.permutations = 1;
    const auto source = [&](const std::vector<ActivationSink*>& sinks) {
      RotatedActivations through(kernels::select_table("auto"), kWidth, 5, sinks);
      for (int layer = 0; layer < 4; ++layer) {
        if (turned)
          through.add({"qkv", layer}, {x.data(), kRows, kWidth}, 0, 1);
        else
          for (ActivationSink* sink : sinks) sink->add({"qkv", layer}, {x.data(), kRows, kWidth}, 0, 1);
      }
      if (turned)
        through.end_rows(kRows);
      else
        for (ActivationSink* sink : sinks) sink->end_rows(kRows);
      return true;
    };
    return *survey(source, settings);
  };
  const OutlierSurvey plain = outliers(false), turned = outliers(true);
  CHECK(plain.outliers() == std::vector<Index>{17});
  CHECK(plain.kurtosis({"qkv"}) > 10);
  CHECK(turned.outliers().empty());
  CHECK(turned.criteria.back().verdict.outliers.empty());
  CHECK(turned.kurtosis({"qkv"}) < 5);
  // What a rotation leaves: the length of all rows together.
  CHECK(turned.sums.find({"qkv", 0})->rms() == Approx(plain.sums.find({"qkv", 0})->rms()).epsilon(1e-5));
}

TEST_CASE("hidden states of another width are refused") {
  RotatedActivations through(kernels::select_table("auto"), 4, 1, {});
  const std::vector<float> x(6);
  CHECK_THROWS_AS(through.add({"qkv", 0}, {x.data(), 2, 3}, 0, 1), ContractError);
}
