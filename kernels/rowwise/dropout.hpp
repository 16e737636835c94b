// Dropout (Srivastava et al. 2014, in the form that scales what is kept): elements become 0 with probability `rate`, the others are
// divided by 1 - rate.
//
// Whether element (r, j) stays depends on the key, on r + first_row and on j alone: forward and backward agree without
// a mask in memory, parts of a batch have the mask of the whole, and a run that was stopped goes on with the same bits.
//
// Shapes     out, in, residual (R,C). R and C may be 0; (first_row + R) * C <= 2^32.
// Types      in of drop_and_add and out of drop float32 or bfloat16, the others float32.
// Strides    rows: any; columns: 1.
// Alignment  none required.
// Aliasing   an output may be any input of its type.
// Reads      only elements inside the shapes.
// Rounding   one of the factor, one of the product, one of the sum.
// Order      none: no sums. No bit depends on ctx.threads.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap, the rate is not in [0, 1),
//            there are too many elements, ctx.threads is below 1 or, with bfloat16, scratch (rowwise_scratch_bytes) is too small.
#pragma once
#include <cstdint>

#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"

namespace loglog::kernels {

struct Dropout {
  float rate = 0.0f;
  std::uint64_t key = 0;  // of one place in the model in one step
  Index first_row = 0;

  bool keeps(std::uint32_t element) const {
    // Two rounds of a 32-bit mixing function (Wellons 2018, "lowbias32"), each with half of the key.
    const auto mix = [](std::uint32_t x) {
      x = (x ^ (x >> 16)) * 0x21f0aaadu;
      x = (x ^ (x >> 15)) * 0x735a2d97u;
      return x ^ (x >> 15);
    };
    const std::uint32_t bits =
        mix(mix(element + static_cast<std::uint32_t>(key)) + static_cast<std::uint32_t>(key >> 32));
    return static_cast<float>(bits >> 8) * 0x1p-24f >= rate;
  }
};

// out = residual + dropped in
void drop_and_add(ExecContext& ctx, MatrixRef out, const ConstFloatMatrix& in, ConstMatrixRef residual,
                  const Dropout& dropout);
// out = dropped in: dropout alone, and its gradient d_in from d_out
void drop(ExecContext& ctx, const FloatMatrix& out, ConstMatrixRef in, const Dropout& dropout);

}  // namespace loglog::kernels
