// What a norm wrote, taken apart, against the values that it was made of.
#include "quant/activations/norm_split.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.hpp"
#include "quant/activations/activation_probe.hpp"
#include "quant/random_model.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;
using loglog::testing::RandomModel;

namespace {

// What sums know of one channel with these values.
Channel channel_of(const std::vector<float>& x) {
  ChannelSums sums(1);
  std::vector<MagnitudeHistogram> scratch;
  sums.add({x.data(), static_cast<Index>(x.size()), 1}, 0, 1, scratch);
  return sums.channels()[0];
}

}  // namespace

TEST_CASE("a norm is taken out of what it made") {
  const Channel c = channel_of({-1, 1, 7});  // 2 z + 1 for z = -1, 0, 3
  CHECK(split(c, 2, 1).z_rms == Approx(std::sqrt(10.0 / 3)));
  CHECK(split(c, 2, 1).z_largest == 3);
  CHECK(split(c, -2, 1).z_rms == Approx(std::sqrt(10.0 / 3)));
  CHECK(split(c, -2, 1).z_largest == 3);
  CHECK(split(c, 2, 1).gain == 2);
  CHECK(split(c, 2, 1).bias == 1);
  CHECK(split(channel_of({5, 5, 5}), 2, 5).z_rms == 0);
  CHECK(split(channel_of({5, 5, 5}), 2, 5).z_largest == 0);
}

TEST_CASE("whatever the gain and the bias, it is z that comes out") {
  const Rng rng(4, 4);
  for (const float gain : {0.5f, -3.0f, 64.0f}) {
    for (const float bias : {0.0f, -100.0f, 1000.0f}) {  // all values of one sign, too
      CAPTURE(gain, bias);
      std::vector<float> x;
      double squares = 0, largest = 0;
      for (std::uint64_t i = 0; i < 200; ++i) {
        const double z = rng.normal(i);
        x.push_back(static_cast<float>(double(gain) * z + double(bias)));
        squares += z * z;
        largest = std::max(largest, std::abs(z));
      }
      const NormSplit parts = split(channel_of(x), gain, bias);
      // x is rounded to 2^-24 of at most 1200, which is 1e-4 of z times the smallest gain; and sums cancel.
      CHECK(parts.z_rms == Approx(std::sqrt(squares / 200)).margin(2e-4));
      CHECK(parts.z_largest == Approx(largest).margin(2e-4));
    }
  }
}

TEST_CASE("values that are not finite are no z") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const NormSplit with = split(channel_of({-1, nan, 1, inf, 7, -inf}), 2, 1),
                  without = split(channel_of({-1, 1, 7}), 2, 1);
  CHECK(with.z_rms == without.z_rms);
  CHECK(with.z_largest == without.z_largest);
  for (const NormSplit& nothing :
       {split(channel_of({nan, inf}), 2, 1), split(channel_of({-1, 1, 7}), 0, 1)}) {
    CHECK(std::isnan(nothing.z_rms));
    CHECK(std::isnan(nothing.z_largest));
  }
}

TEST_CASE("the norm in front of a hidden state is the one that wrote it") {
  RandomModel model;
  ActivationSums sums;
  ActivationProbe probe({&sums});
  model.run(&probe);
  std::size_t behind_norms = 0;
  for (const ActivationSums::Entry& entry : sums.entries()) {
    const auto name = norm_before(entry.spot);
    if (!name) continue;
    ++behind_norms;
    INFO(*name);
    const kernels::MatrixRef gain = model.parameter(*name + ".gain"), bias = model.parameter(*name + ".bias");
    double squares = 0;
    for (Index j = 0; j < entry.sums.width(); ++j)
      squares += std::pow(
          split(entry.sums.channels()[static_cast<std::size_t>(j)], gain.data[j], bias.data[j]).z_rms, 2);
    // A layer norm writes a mean square of v / (v + epsilon), v the stream's variance.
    CHECK(squares / double(RandomModel::kWidth) == Approx(1).margin(0.03));
  }
  CHECK(behind_norms == 2 * RandomModel::kLayers + 1);
  CHECK(*norm_before({"qkv", 2}) == "blocks.2.attention.norm");
  CHECK(*norm_before({"up", 0}) == "blocks.0.mlp.norm");
  CHECK(*norm_before({"head", 4}) == "head.norm");
  for (const char* site : {"down", "attention_out", "attention_stream", "given"})
    CHECK_FALSE(norm_before({site, 0}));
}
