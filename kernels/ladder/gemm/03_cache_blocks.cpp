// Rung 3: cache blocks.
//
// Idea      Finish with one block of B before the next one is touched. A block of 128 x 512 floats (256 KiB) stays in the
//           second-level cache while all rows of A pass by, so B comes from memory once and not once per row.
// Gain      3 where B exceeds every cache that a core has for itself (2048 x 2048: 16 MiB); 1 where it fits anyway.
// Limit     Two loads and a store for every vector of products: the cache is near, but every step still goes there.
#include <algorithm>

#include "kernels/ladder/gemm/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

constexpr Index kKc = 128, kNc = 512;

void cache_blocks(ExecContext&, Index m, Index n, Index k, const float* a, const float* b, float* c) {
  std::fill_n(c, m * n, 0.0f);
  for (Index p0 = 0; p0 < k; p0 += kKc) {
    for (Index j0 = 0; j0 < n; j0 += kNc) {
      const Index p1 = std::min(p0 + kKc, k), j1 = std::min(j0 + kNc, n);
      for (Index i = 0; i < m; ++i) {
        for (Index p = p0; p < p1; ++p) {
          for (Index j = j0; j < j1; ++j) c[i * n + j] += a[i * k + p] * b[p * n + j];
        }
      }
    }
  }
}

}  // namespace

const GemmRung kCacheBlocks = {
    .info = {.number = 3,
             .name = "cache-blocks",
             .idea = "a block of B stays in the cache for all rows of A",
             .gain = 3,
             .why = "a large B comes from memory once, not once per row; 1 where B fits into a cache",
             .loss = "B fits into a cache without blocks, and shorter inner loops cost something"},
    .run = cache_blocks,
};

}  // namespace loglog::kernels::ladder
