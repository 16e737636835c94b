// An activation behind a norm, taken apart: x = gain z + bias, z what the norm makes of the stream.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "quant/activations/channel_sums.hpp"

namespace loglog::quant {

// "blocks.3.attention.norm", "head.norm": whose output is the hidden state of this spot. Nothing where no norm comes before it.
std::optional<std::string> norm_before(const Spot& spot);

struct NormSplit {
  float gain = 1, bias = 0;
  double z_rms = 0, z_largest = 0;  // NaN where the gain is 0, or no number finite
};
// Of a channel with n finite numbers x: sum z^2 = (sum x^2 - 2 bias sum x + n bias^2) / gain^2.
NormSplit split(const Channel& channel, float gain, float bias);

}  // namespace loglog::quant
