// Rotary positions in config.json: older files have keys of their own at the first level, newer ones "rope_parameters".
#pragma once
#include "formats/architecture.hpp"

namespace loglog::formats {

struct RopeKeys {
  std::string base_key;   // beside "rope_theta"
  std::string share_key;  // beside "partial_rotary_factor"
  double usual_share = 1;
};

// Elements of a head that turn there: int(size * share), the first half of them with the second. Ours turn in pairs, one fewer where
// that is odd.
Index turning_elements(const ModelConfig& m);

// Sets position, rope_base and rope_share. InputError naming the key: scaled positions and a share that cuts a pair are not covered.
void read_rope(const HfConfig& config, const RopeKeys& keys, ModelConfig& m);

}  // namespace loglog::formats
