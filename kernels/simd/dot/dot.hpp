// Products of short vectors, the steps of a packed strip: what xsimd cannot say, one struct per way to do it.
//
//   A, B, Sum     elements of the packed operands and of the sums
//   kGroup        steps of depth that lie side by side: 4 bytes of them in B
//   kMr           rows of a tile, as many as leave no sum in memory
//   kSubnormals   what it makes of them
//   kParts        passes over a group of B; each takes one unit of 4 bytes of each row of A
//   b<part>(p)    what part `part` needs of the vector of groups at p
//   a(p)          the unit at p in all lanes
//   kReadsInPlace whether A can stay where it is, a(p) being the group that begins at p
//   kPackedA      how A is packed
//   kBPlus128     whether B is packed with 128 added; then row_compensation(out, a) makes -128 times the sums of A's rows
//   add(s, a, b)  s + the products of the lanes
#pragma once
#include "kernels/bf16.hpp"
#include "kernels/simd/simd.hpp"
#include "kernels/table.hpp"

#if defined(__x86_64__) && defined(LOGLOG_ARCH)
#include "kernels/simd/dot/x86.hpp"
#elif defined(__aarch64__) && defined(LOGLOG_ARCH)
#include "kernels/simd/dot/neon.hpp"
#else
#include "kernels/simd/dot/scalar.hpp"
#endif

namespace loglog::kernels {
namespace {

// bfloat16 as the upper halves of floats: exact products, one muladd per step in ascending order. Half the work of a
// load is a shift or a mask, which the MR rows of a tile share.
struct WidenedBf16 {
  using A = float;
  using B = bf16;
  using Sum = float;
  static constexpr int kGroup = 2, kParts = 2;
  // The two parts of B take registers from the sums: with all rows 0.37 of the float peak on avx512, 0.63 on avx2; so
  // 0.90 and 0.88.
  static constexpr int kMr = LOGLOG_MR - (LOGLOG_MR > 8 ? 2 : 1);
  static constexpr PackedA kPackedA = PackedA::widened;
  static constexpr bool kReadsInPlace = false, kBPlus128 = false;
  static constexpr Subnormals kSubnormals = Subnormals::kept;

  template <int kPart>
  [[gnu::always_inline]] static Vec<float> b(const bf16* p) {
    const Vec<std::int32_t> pairs = load_bits(p);
    return float_of(kPart == 0 ? shift_left(pairs, 16) : pairs & Vec<std::int32_t>(-65536));
  }
  [[gnu::always_inline]] static Vec<float> a(const float* p) { return Vec<float>(*p); }
  [[gnu::always_inline]] static Vec<float> add(Vec<float> sum, Vec<float> a, Vec<float> b) {
    return muladd(a, b, sum);
  }
};

}  // namespace
}  // namespace loglog::kernels
