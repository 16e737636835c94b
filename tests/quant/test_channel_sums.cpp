#include "quant/activations/channel_sums.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;

namespace {

constexpr Index kWidth = 70;  // two tasks of columns and a rest

// Normal numbers whose columns have different scales.
std::vector<float> numbers(Index rows) {
  const Rng rng(3, 1);
  std::vector<float> x(static_cast<std::size_t>(rows * kWidth));
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(rng.normal(i) * (1 + static_cast<double>(i % kWidth)));
  return x;
}

kernels::ConstMatrixRef rows_of(const std::vector<float>& x, Index first, Index count) {
  return {x.data() + first * kWidth, count, kWidth};
}

const ChannelSums& summed(ActivationSums& sums, const std::vector<float>& x, Index step, int threads) {
  const Index rows = static_cast<Index>(x.size()) / kWidth;
  for (Index first = 0; first < rows; first += step)
    sums.add({"qkv", 0}, rows_of(x, first, std::min(step, rows - first)), static_cast<std::uint64_t>(first),
             threads);
  return *sums.find({"qkv", 0});
}

}  // namespace

TEST_CASE("sums of channels are those of plain loops") {
  const Index rows = 300;
  const std::vector<float> x = numbers(rows);
  ActivationSums sums;
  const ChannelSums& s = summed(sums, x, rows, 1);
  REQUIRE(s.rows() == 300);
  std::vector<double> squares(kWidth);
  std::vector<float> magnitudes;
  double ratios = 0;
  for (Index r = 0; r < rows; ++r) {
    std::vector<float> row;
    for (Index j = 0; j < kWidth; ++j) {
      const float v = x[static_cast<std::size_t>(r * kWidth + j)];
      squares[static_cast<std::size_t>(j)] += double(v) * double(v);
      row.push_back(std::abs(v));
    }
    magnitudes.insert(magnitudes.end(), row.begin(), row.end());
    std::ranges::sort(row);
    ratios += double(row.back()) / double(row[kWidth / 2]);
  }
  double mean = 0, mean_square = 0;
  for (Index j = 0; j < kWidth; ++j) {
    const double m = squares[static_cast<std::size_t>(j)] / 300;
    REQUIRE(s.mean_square(j) == m);
    mean += m / kWidth;
    mean_square += m * m / kWidth;
    const Channel& c = s.channels()[static_cast<std::size_t>(j)];
    REQUIRE(x[static_cast<std::size_t>(c.largest_row) * kWidth + static_cast<std::size_t>(j)] == c.largest);
    REQUIRE(std::abs(c.largest) == std::max(-c.lowest, c.highest));
  }
  // The formula is evaluated in another order: a few roundings of doubles.
  CHECK(s.kurtosis() == Approx(mean_square / (mean * mean)).epsilon(1e-13));
  CHECK(s.rms() == Approx(std::sqrt(mean)).epsilon(1e-13));
  CHECK(s.max_to_median() == Approx(ratios / 300).epsilon(1e-13));
  std::ranges::sort(magnitudes);
  const double median = magnitudes[magnitudes.size() / 2];
  CHECK(std::abs(s.median_magnitude() - median) <= median / 128);
  const std::vector<Index> top = s.top(kWidth + 1);
  REQUIRE(top.size() == kWidth);
  for (std::size_t i = 1; i < top.size(); ++i) REQUIRE(s.mean_square(top[i - 1]) >= s.mean_square(top[i]));
  CHECK(s.top(1) == std::vector<Index>{top[0]});
}

TEST_CASE("no bit depends on how rows come or on threads") {
  const std::vector<float> x = numbers(300);
  ActivationSums whole;
  const ChannelSums& a = summed(whole, x, 300, 1);
  for (const Index step : {1, 7, 64}) {
    for (const int threads : {1, 2, 3}) {
      ActivationSums parts;
      const ChannelSums& b = summed(parts, x, step, threads);
      for (std::size_t j = 0; j < kWidth; ++j) {
        REQUIRE(a.channels()[j].sum == b.channels()[j].sum);
        REQUIRE(a.channels()[j].squares == b.channels()[j].squares);
        REQUIRE(a.channels()[j].largest_row == b.channels()[j].largest_row);
      }
      REQUIRE(a.median_magnitude() == b.median_magnitude());
      REQUIRE(a.max_to_median() == b.max_to_median());
    }
  }
}

TEST_CASE("kurtosis is 1 where channels are alike and the width where one does everything") {
  std::vector<float> alike(10 * kWidth, -2.0f), one(10 * kWidth, 0.0f), none = one;
  for (std::size_t r = 0; r < 10; ++r) one[r * kWidth + 5] = 3;
  ActivationSums a, b, c;
  CHECK(summed(a, alike, 10, 1).kurtosis() == 1);
  const ChannelSums& single = summed(b, one, 10, 1);
  CHECK(single.kurtosis() == kWidth);
  CHECK(std::isnan(single.max_to_median()));  // every median is 0
  CHECK(single.median_magnitude() == 0);
  const ChannelSums& zero = summed(c, none, 10, 1);
  CHECK(std::isnan(zero.kurtosis()));
  CHECK(zero.rms() == 0);
  CHECK(zero.nonfinite() == 0);
  // Whose fourth powers are no doubles.
  std::vector<float> huge(10 * kWidth, 1e30f);
  ActivationSums d;
  CHECK(summed(d, huge, 10, 1).kurtosis() == Approx(1));
}

TEST_CASE("rows of numbers that are not finite are as good as not there") {
  const std::vector<float> x = numbers(20);
  std::vector<float> y(23 * kWidth, std::numeric_limits<float>::quiet_NaN());
  std::fill_n(y.begin() + kWidth, kWidth, std::numeric_limits<float>::infinity());
  std::ranges::copy(x, y.begin() + 3 * kWidth);
  ActivationSums a, b;
  const ChannelSums &with = summed(a, y, 7, 2), &without = summed(b, x, 20, 2);
  CHECK(with.nonfinite() == 3 * kWidth);
  CHECK(a.nonfinite() == 3 * kWidth);
  CHECK(without.nonfinite() == 0);
  for (std::size_t j = 0; j < kWidth; ++j) {
    const Channel &c = with.channels()[j], &d = without.channels()[j];
    REQUIRE(c.finite == 20);
    REQUIRE(c.mean_square() == d.mean_square());
    REQUIRE(c.lowest == d.lowest);
    REQUIRE(c.highest == d.highest);
    REQUIRE(c.largest == d.largest);
    REQUIRE(c.largest_row == d.largest_row + 3);
  }
  CHECK(with.rms() == without.rms());
  CHECK(with.median_rms() == without.median_rms());
  CHECK(with.median_magnitude() == without.median_magnitude());
  CHECK(with.kurtosis() == without.kurtosis());
  CHECK(with.max_to_median() == without.max_to_median());
  CHECK(with.top(5) == without.top(5));
}

TEST_CASE("a number that is not finite is in nothing of its channel and of its row") {
  std::vector<float> x = numbers(20);
  ActivationSums before, after;
  const ChannelSums& all = summed(before, x, 20, 1);
  const double gone = x[5 * kWidth + 3];
  x[5 * kWidth + 3] = std::numeric_limits<float>::quiet_NaN();
  const ChannelSums& rest = summed(after, x, 20, 1);
  CHECK(rest.nonfinite() == 1);
  CHECK(rest.mean_square(3) == Approx((20 * all.mean_square(3) - gone * gone) / 19).epsilon(1e-12));
  CHECK(rest.mean_square(4) == all.mean_square(4));
  // The ratio of that row is that of its other numbers.
  std::vector<float> row;
  for (std::size_t j = 0; j < kWidth; ++j)
    if (j != 3) row.push_back(std::abs(x[5 * kWidth + j]));
  std::ranges::sort(row);
  ActivationSums single;
  CHECK(summed(single, {x.begin() + 5 * kWidth, x.begin() + 6 * kWidth}, 1, 1).max_to_median() ==
        double(row.back()) / double(row[row.size() / 2]));
}

TEST_CASE("a channel without a finite number is as good as not there") {
  std::vector<float> x = numbers(20), y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % kWidth == kWidth - 1) x[i] = -std::numeric_limits<float>::infinity();
    if (i % kWidth != kWidth - 1) y.push_back(x[i]);
  }
  ActivationSums a;
  const ChannelSums& with = summed(a, x, 20, 2);
  ChannelSums without(kWidth - 1);
  std::vector<MagnitudeHistogram> scratch;
  without.add({y.data(), 20, kWidth - 1}, 0, 1, scratch);
  CHECK(with.nonfinite() == 20);
  CHECK(std::isnan(with.mean_square(kWidth - 1)));
  CHECK(with.rms() == without.rms());
  CHECK(with.median_rms() == without.median_rms());
  CHECK(with.median_magnitude() == without.median_magnitude());
  CHECK(with.kurtosis() == without.kurtosis());
  CHECK(with.max_to_median() == without.max_to_median());
  CHECK(with.largest() == without.largest());
  CHECK(with.top(kWidth) == without.top(kWidth));
  const std::vector<float> none(10 * kWidth, std::numeric_limits<float>::quiet_NaN());
  ActivationSums b;
  const ChannelSums& nothing = summed(b, none, 10, 1);
  CHECK(nothing.top(5).empty());
  for (const double number : {nothing.rms(), nothing.median_rms(), nothing.median_magnitude(),
                              nothing.kurtosis(), nothing.max_to_median()})
    CHECK(std::isnan(number));
}

TEST_CASE("the median of magnitudes is within its bound whatever they are") {
  const Rng rng(9, 9);
  for (const double scale : {1e-30, 1e-3, 1.0, 1e5, 1e35}) {
    MagnitudeHistogram histogram;
    std::vector<float> all;
    for (std::uint64_t i = 0; i < 1001; ++i) {
      all.push_back(static_cast<float>(scale * std::exp(rng.normal(i))));
      histogram.add(i % 2 == 0 ? all.back() : -all.back());
    }
    std::ranges::sort(all);
    CHECK(std::abs(histogram.median() - double(all[500])) <= double(all[500]) / 128);
    CHECK(histogram.count() == 1001);
  }
  CHECK(std::isnan(MagnitudeHistogram().median()));
  MagnitudeHistogram largest;
  largest.add(std::numeric_limits<float>::max());
  CHECK(largest.median() == Approx(double(std::numeric_limits<float>::max())).epsilon(1.0 / 128));
}
