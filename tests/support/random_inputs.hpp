// Inputs of tests, reproducible from (seed, stream).
#pragma once
#include <vector>

#include "base/rng.hpp"
#include "support/guarded_buffer.hpp"

namespace loglog::testing {

inline void fill_normal(GuardedMatrix& x, std::uint64_t stream, double scale = 1.0) {
  const Rng rng(1, stream);
  x.fill([&](Index i, Index j) { return scale * rng.normal(i * x.cols() + j); });
}

// Whole numbers in -4..4: products and short sums of them are exact in float32.
inline void fill_integer(GuardedMatrix& x, std::uint64_t stream) {
  const Rng rng(2, stream);
  x.fill([&](Index i, Index j) { return double(rng.below(i * x.cols() + j, 9)) - 4.0; });
}

inline std::vector<double> normal_values(std::size_t n, std::uint64_t stream, double scale = 1.0) {
  const Rng rng(3, stream);
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = scale * rng.normal(i);
  return x;
}

}  // namespace loglog::testing
