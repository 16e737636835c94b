// Quantisation of one group of weights, by plain loops.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/weight_only.hpp"

namespace loglog::kernels::reference {

struct QuantizedGroup {
  std::vector<int> q;
  float scale = 0.0f;
  int zero = 0;

  // W' of its element k.
  float weight(std::size_t k) const { return scale * static_cast<float>(q[k] - zero); }
};

inline QuantizedGroup quantize_group_ref(GroupRange range, int bits, const std::vector<float>& w) {
  const bool absmax = range == GroupRange::absmax;
  const int most = bits == 8 ? 255 : 15, middle = bits == 8 ? 128 : 8;
  double low = 0.0, high = 0.0;
  for (const float x : w) {
    low = std::min<double>(low, x);
    high = std::max<double>(high, x);
  }
  const double width = absmax ? std::max(-low, high) : high - low;
  QuantizedGroup group;
  group.zero = middle;
  if (width < 0x1p-119) {
    group.q.assign(w.size(), middle);
    return group;
  }
  group.scale = static_cast<float>(width / (absmax ? middle - 1 : most));
  if (!absmax) group.zero = static_cast<int>(std::nearbyint(-low / group.scale));
  for (const float x : w) {
    const double nearest = std::nearbyint(static_cast<double>(x) / group.scale);
    group.q.push_back(std::clamp(static_cast<int>(nearest) + group.zero, 0, most));
  }
  return group;
}

}  // namespace loglog::kernels::reference
