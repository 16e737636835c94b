#include "formats/rope.hpp"

#include <fmt/format.h>

namespace loglog::formats {
namespace {

constexpr double kUsualBase = 10000;
constexpr double kLeastBase = 1, kMostBase = 1e12;  // as model.rope_base

}  // namespace

Index turning_elements(const ModelConfig& m) {
  return static_cast<Index>(static_cast<double>(m.head_size()) * m.rope_share);
}

void read_rope(const HfConfig& c, const RopeKeys& keys, ModelConfig& m) {
  c.require_absent("rope_scaling", "scaled rotary positions");
  c.require_object("rope_parameters");
  const std::string type = c.text_or("rope_parameters/rope_type", "default");
  if (type != "default")
    c.refuse("rope_parameters/rope_type", fmt::format("'{}' is not covered: scaled rotary positions", type));
  const auto base_or = [&](const std::string& key, double usual) {
    return c.real_or(key, usual, kLeastBase, kMostBase);
  };
  const auto share_or = [&](const std::string& key, double usual) { return c.real_or(key, usual, 0, 1); };
  m.rope_base =
      base_or("rope_parameters/rope_theta", base_or(keys.base_key, base_or("rope_theta", kUsualBase)));
  m.rope_share = share_or("rope_parameters/partial_rotary_factor",
                          share_or(keys.share_key, share_or("partial_rotary_factor", keys.usual_share)));
  m.position = "rope";
  const Index turning = turning_elements(m);
  if (turning < 2 || turning % 2 != 0) {
    c.refuse(keys.share_key, fmt::format("of a head of {} elements {} would turn: they must be pairs",
                                         m.head_size(), turning));
  }
}

}  // namespace loglog::formats
