// Rung 7: the library's own kernel, kernels/int8.cpp.
//
// Idea      Weights are quantised and packed once, before the clock runs. One pass over a row of A finds its scale and its
//           outliers, element by element; the sums become floats, outliers and all, while a block of C is in the nearest cache.
// Gain      3: quantising B was most of the time, and what is left of quantising is shared by the threads.
// Limit     The product of bytes, and two passes over A.
#include "kernels/ladder/int8/rungs.hpp"

namespace loglog::kernels::ladder {
namespace {

constexpr Int8Options kLlmInt8 = {.scheme = {}, .threshold = 6.0f};

void int8_library(ExecContext& ctx, Index m, const float* a, const Int8Weights& b, float* c) {
  gemm_int8(ctx, {a, m, b.rows()}, b, {c, m, b.cols()}, kLlmInt8);
}

}  // namespace

const Int8Rung kInt8Library = {
    .info = {.number = 7,
             .name = "library",
             .idea = "loglog's own gemm_int8: weights quantised before, everything else in the product",
             .gain = 3,
             .why = "quantising B was most of the time",
             .threads = true},
    .run_with_weights = int8_library,
};

}  // namespace loglog::kernels::ladder
