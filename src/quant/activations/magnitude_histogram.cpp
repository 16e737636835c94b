#include "quant/activations/magnitude_histogram.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace loglog::quant {

void MagnitudeHistogram::add(const MagnitudeHistogram& other) {
  for (std::size_t i = 0; i < kBins; ++i) counts_[i] += other.counts_[i];
}

void MagnitudeHistogram::clear() {
  std::ranges::fill(counts_, 0);
}

std::uint64_t MagnitudeHistogram::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

double MagnitudeHistogram::median() const {
  const std::uint64_t all = count();
  if (all == 0) return std::numeric_limits<double>::quiet_NaN();
  std::size_t bin = 0;
  for (std::uint64_t below = counts_[0]; below <= all / 2; below += counts_[++bin]) {
  }
  if (bin == 0) return 0;
  const auto edge = [](std::size_t i) {
    return double(std::bit_cast<float>(static_cast<std::uint32_t>(i) << kDroppedBits));
  };
  // The last finite bin ends where infinity begins, 2^128.
  const double end = bin + 1 < kBins ? edge(bin + 1) : 0x1p128;
  return 0.5 * (edge(bin) + end);
}

}  // namespace loglog::quant
