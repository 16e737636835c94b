// Rotary position embedding (Su et al. 2021): pairs of elements of every head turn by an angle that grows with the
// position, so that products of queries and keys depend on their distance alone.
//
//   (x_a, x_b) -> (x_a cos - x_b sin, x_b cos + x_a sin),  angle = position * base^(-i / P) for pair i of P
//
//   interleaved   pair i is elements (2i, 2i + 1) of a head              GPT-J, the paper
//   halves        pair i is elements (i, i + P) of a head                GPT-NeoX, Llama
//
// With 2P < D the first 2P elements of a head turn and the others stay (partial rotary dimension).
//
// Shapes     out, in (R, H*D): R tokens of H heads; positions (R); cos, sin (positions, P), 2P <= D. R, H and P may be 0.
// Types      out and in float32 or bfloat16; computed in float32, a bfloat16 result rounded once.
// Strides    rows: any; columns: 1.
// Alignment  none required; rows of out on 64-byte boundaries are faster.
// Aliasing   out may be in; then elements that stay are not touched.
// Reads      only elements inside the shapes; of cos and sin the rows that occur in positions.
// Rounding   3 u (|x_a cos| + |x_b sin|) and likewise, u = 2^-24, the rounding of cos and sin included.
// Order      a product, then a multiply-add; the same bits for both pairings. No bit depends on ctx.threads.
// Errors     ContractError if shapes disagree, a size is below 0, rows of an output overlap, D does not divide the columns,
//            a position is outside the tables, ctx.threads is below 1 or, with bfloat16, scratch
//            (rowwise_scratch_bytes) is too small.
#pragma once
#include <cstdint>

#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"

namespace loglog::kernels {

enum class RotaryPairing : int { interleaved, halves };

struct Rotary {
  RotaryPairing pairing = RotaryPairing::halves;
  Index head_size = 0;  // D
  ConstMatrixRef cos;   // (positions, P)
  ConstMatrixRef sin;   // (positions, P)
};

// Row p of both tables (positions, P): cos and sin of p * base^(-i / P), i < P, computed in float64 and rounded once. base is
// 10000 in the paper, larger for long contexts.
void rotary_tables(MatrixRef cos, MatrixRef sin, double base = 10000.0);

// Row r turns by the angles of positions[r]: any order, with repetitions and gaps, as a cache of keys wants it.
void rotary_forward(ExecContext& ctx, const FloatMatrix& out, const ConstFloatMatrix& in,
                    const std::int32_t* positions, const Rotary& rotary);
// d_in = d_out turned by the negative angles: a rotation's transpose is its inverse.
void rotary_backward(ExecContext& ctx, const FloatMatrix& d_in, const ConstFloatMatrix& d_out,
                     const std::int32_t* positions, const Rotary& rotary);

}  // namespace loglog::kernels
