// The scalar ISA's product of int8.
#pragma once
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

struct PortableS8 {
  using A = std::int8_t;
  using B = std::int8_t;
  using Sum = std::int32_t;
  static constexpr int kGroup = 4, kParts = 1, kMr = LOGLOG_MR;
  static constexpr PackedA kPackedA = PackedA::groups;
  static constexpr bool kReadsInPlace = true, kBPlus128 = false;
  static constexpr Subnormals kSubnormals = Subnormals::kept;

  struct Group {
    std::int8_t steps[4];
  };
  static Group load_group(const std::int8_t* p) {
    Group group;
    __builtin_memcpy(&group, p, sizeof group);
    return group;
  }
  template <int>
  static Group b(const std::int8_t* p) {
    return load_group(p);
  }
  static Group a(const std::int8_t* p) { return load_group(p); }
  static Vec<std::int32_t> add(Vec<std::int32_t> sum, Group a, Group b) {
    std::int32_t products = 0;
    for (int r = 0; r < 4; ++r) products += a.steps[r] * b.steps[r];
    return sum + Vec<std::int32_t>(products);
  }
};

}  // namespace
}  // namespace loglog::kernels
