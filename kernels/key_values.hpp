// Keys and values as they are remembered: once, when their token is read.
//
//   float32, bfloat16   as kernels/rowwise/convert.hpp
//   int8                scale = max|x| / 127 of each head of each row, q = round(x / scale)          absmax
//
// Source: Dettmers et al. 2022, LLM.int8(), section 2 (absmax); a token's keys and values are never quantised anew, so what
// later tokens see of it does not change with them.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/key_value_matrix.hpp"

namespace loglog::kernels {

// Shapes     in, out (R, heads * D), D = head_size. R and heads may be 0, D not where there are columns.
// Strides    rows: any; columns: 1. Rows of an int8 `out` are heads * (D + 4) bytes or more apart.
// Alignment  none required, of scales neither.
// Aliasing   none.
// Reads      only elements inside the shapes.
// Rounding   float32 and bfloat16 as convert. int8: |x - scale q| <= scale (1/2 + 2^-15); 0 is exact; a head with max|x| <
//            2^-119 becomes 0. int8 holds neither infinity nor NaN: a head with either in any element gets a scale of NaN,
//            so that all of it is NaN to who reads it.
// Order      none: the bits of a head depend on itself alone.
// Errors     ContractError if shapes disagree, a size is below 0, head_size does not divide the columns, rows of out overlap,
//            ctx.threads is below 1 or scratch is too small.
void store_key_values(ExecContext& ctx, const KeyValueMatrix& out, const ConstFloatMatrix& in,
                      Index head_size);

// Bytes that this takes from ctx.scratch for any number of rows.
std::size_t store_key_values_scratch_bytes(int threads, Index cols, Index head_size) noexcept;

}  // namespace loglog::kernels
