// The attention family of one ISA.
#pragma once
#include "kernels/simd/attention/backward.hpp"
#include "kernels/simd/attention/forward.hpp"
#include "kernels/simd/attention/rows.hpp"

namespace loglog::kernels {
namespace {

constinit const Attention kAttention = {
    .forward_rows = kForwardRows,
    .backward_rows = kBackwardRows,
    .backward_keys = kBackwardKeys,
    .forward = attention_forward_rows,
    .backward_begin = attention_backward_begin,
    .backward_block = attention_backward_block,
    .backward_end = attention_backward_end,
    .forward_scratch_floats = attention_forward_scratch,
    .backward_scratch_floats = attention_backward_scratch,
    .sums_row = padded_row,
};

}  // namespace
}  // namespace loglog::kernels
