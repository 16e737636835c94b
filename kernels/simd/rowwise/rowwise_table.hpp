// The row kernels of one instruction set.
#pragma once
#include "kernels/simd/rowwise/activation_tiles.hpp"
#include "kernels/simd/rowwise/convert_tiles.hpp"
#include "kernels/simd/rowwise/norm_tiles.hpp"
#include "kernels/simd/rowwise/optimizer_tiles.hpp"
#include "kernels/simd/rowwise/rotary_tiles.hpp"
#include "kernels/simd/rowwise/softmax_tiles.hpp"
#include "kernels/simd/rowwise/sum_tiles.hpp"

namespace loglog::kernels {
namespace {

// Element by element, for the tests of math.hpp.
template <F32 (*function)(F32)>
void map_elements(float* out, const float* in, Index n) noexcept {
  for_vectors(n, [&](Index j, auto whole) {
    MutableRow{out, n}.put(j, function(Row{in, n}.at(j, whole)), whole);
  });
}

constinit const Rowwise kRowwise = {
    .narrow = convert_rows<bf16, float>,
    .widen = convert_rows<float, bf16>,
    .layernorm_forward = layernorm_forward_rows,
    .layernorm_backward = layernorm_backward_rows,
    .rmsnorm_forward = rmsnorm_forward_rows,
    .rmsnorm_backward = rmsnorm_backward_rows,
    .relu = kActivation<Relu>,
    .gelu = kActivation<Gelu>,
    .silu = kActivation<Silu>,
    .gelu_erf = kActivation<GeluErf>,
    .rotary_interleaved = rotary_interleaved_rows,
    .rotary_halves = rotary_halves_rows,
    .softmax_forward = softmax_forward_rows,
    .softmax_backward = softmax_backward_rows,
    .cross_entropy = cross_entropy_rows,
    .add = add_rows,
    .add_columns = add_columns,
    .square_sum = square_sum,
    .adamw = adamw_elements,
    .sgd = sgd_elements,
    .sgd_momentum = sgd_momentum_elements<false>,
    .sgd_nesterov = sgd_momentum_elements<true>,
    .exp = map_elements<exp>,
    .exp2_softmax = map_elements<exp2_softmax>,
    .exp2 = map_elements<exp2>,
    .log = map_elements<log>,
    .tanh = map_elements<tanh>,
};

}  // namespace
}  // namespace loglog::kernels
