// What forward knows of the rows of one task: where they lie, what they see, how far their softmax is.
#pragma once
#include "kernels/simd/attention/tile.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Rows share the packing of a block of keys, which with 128 rows still takes 7% of the time at D = 64 (64 rows: 10%); more
// rows would leave too few tasks.
constexpr Index kForwardRows = 128;
static_assert(kForwardRows % kTileRows == 0 && kSoftmaxKeys % kPanel == 0);

struct ForwardRows {
  Index floats;                                   // of scratch
  Index count, row;                               // rows, floats from one to the next
  float* queries;                                 // (rows, row)
  float* sums;                                    // (rows, row) sum_s exp(S - maximum) V
  float* scores;                                  // (kTileRows, kSoftmaxKeys)
  float* keys_t;                                  // (D, kSoftmaxKeys) panels, with the factor 1 / sqrt(D)
  float* values;                                  // (kSoftmaxKeys, row)
  Index first[kForwardRows], last[kForwardRows];  // the keys that each row sees
  OnlineSoftmax softmax[kForwardRows];
};

}  // namespace
}  // namespace loglog::kernels
