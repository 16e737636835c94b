#include "formats/rope.hpp"

#include <fmt/format.h>

namespace loglog::formats {
namespace {

constexpr double kUsualBase = 10000;

}  // namespace

void read_rope(const HfConfig& c, const RopeKeys& keys, ModelConfig& m) {
  c.require_absent("rope_scaling", "scaled rotary positions");
  const std::string type = c.text_or("rope_parameters/rope_type", "default");
  if (type != "default")
    c.refuse("rope_parameters/rope_type", fmt::format("'{}' is not covered: scaled rotary positions", type));
  const double base = c.real_or(keys.base_key, c.real_or("rope_theta", kUsualBase));
  m.rope_base = c.real_or("rope_parameters/rope_theta", base);
  const double share = c.real_or(keys.share_key, c.real_or("partial_rotary_factor", keys.usual_share));
  m.rope_share = c.real_or("rope_parameters/partial_rotary_factor", share);
  m.position = "rope";
  // There int(size * share) elements turn, the first half of them with the second.
  const auto turning = static_cast<Index>(static_cast<double>(m.head_size()) * m.rope_share);
  if (turning < 2 || turning % 2 != 0 || turning > m.head_size()) {
    c.refuse(keys.share_key, fmt::format("of a head of {} elements {} would turn: they must be pairs",
                                         m.head_size(), turning));
  }
}

}  // namespace loglog::formats
