// How often each magnitude occurs, for medians of more numbers than one would keep.
//
// A bin is a 64th of a power of two (subnormal numbers: of the smallest one): the upper 14 bits of a float without its sign. The median is
// the middle of the bin that holds the middle number (the upper one of two), so it is off by at most 1/128 of itself, whatever the
// numbers are; 0 is a bin of its own with all below 2^-132.
#pragma once
#include <bit>
#include <cstdint>
#include <vector>

namespace loglog::quant {

class MagnitudeHistogram {
 public:
  static constexpr int kDroppedBits = 17;
  static constexpr std::size_t kBins = std::size_t{0x7f800000 >> kDroppedBits};  // of finite numbers

  void add(float x) {  // finite
    ++counts_[(std::bit_cast<std::uint32_t>(x) & 0x7fffffff) >> kDroppedBits];
  }
  void add(const MagnitudeHistogram& other);
  void clear();
  std::uint64_t count() const;
  double median() const;  // NaN when empty

 private:
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kBins);
};

}  // namespace loglog::quant
