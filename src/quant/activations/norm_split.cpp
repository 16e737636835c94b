#include "quant/activations/norm_split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace loglog::quant {

std::optional<std::string> norm_before(const Spot& spot) {
  if (spot.site == "qkv") return fmt::format("blocks.{}.attention.norm", spot.layer);
  if (spot.site == "up") return fmt::format("blocks.{}.mlp.norm", spot.layer);
  if (spot.site == "head") return "head.norm";
  return std::nullopt;
}

NormSplit split(const Channel& channel, float gain, float bias) {
  const double g = std::abs(double(gain)), b = double(bias), n = static_cast<double>(channel.finite);
  if (!(g > 0) || channel.finite == 0) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    return {gain, bias, kNaN, kNaN};
  }
  // Rounding may leave less than nothing of a channel that is its bias alone.
  const double squares = std::max(0.0, channel.squares - 2 * b * channel.sum + n * b * b);
  const double largest =
      std::max(std::abs(double(channel.lowest) - b), std::abs(double(channel.highest) - b));
  return {gain, bias, std::sqrt(squares / n) / g, largest / g};
}

}  // namespace loglog::quant
