// Attention of bfloat16 by the register tiles of an ISA's own bfloat16 product (GemmBf16), with the loops of attention.hpp:
// the counterpart of the family Attention, for operands that are all bfloat16.
//
//   S = Q K', O += P V;  S again, dP = dO V', dQ += dS K, dV += P' dO, dK += dS' Q      every product one strip after another
//
// The tiles sum q k without the factor 1 / sqrt(D), which comes afterwards. Where such a sum passes the largest float (it
// cannot while sum_d |q||k| < 2^128 (1 - (D + 1) 2^-24)), the score is infinite, and +infinity makes its row of out and lse
// NaN, although the score with its factor may be finite: q = k = 2^60, D = 256. Attention multiplies K by the factor first.
//
// Operands stay bfloat16; P and dS are rounded to it. A strip takes whole groups of depth, so what a row must not see is
// multiplied by 0. Where that could be infinity or NaN, rows are done one by one with zeros in its place (multiply_limited):
// the same bits, as adding 0 changes none.
#pragma once
#include "kernels/table.hpp"

namespace loglog::kernels {

class Bf16Attention {
 public:
  // Most rows of a register tile; its columns are whole steps of depth (tests/kernels/test_isa.cpp).
  static constexpr Index kMostTileRows = 32;

  // Where the table's bfloat16 product is one of float32 (PackedA::widened), Attention does better.
  static bool is_native(const KernelTable& table) { return table.gemm_bf16->packed_a != PackedA::widened; }

  explicit Bf16Attention(const KernelTable& table);

  // As the members of Attention; q, k, v and d_out are bfloat16.
  Index forward_rows, backward_rows, backward_keys;
  void forward(const AttentionGroup&, const AttentionGroupResult&, Index first_row, Index last_row,
               float* scratch) const noexcept;
  void backward_begin(const AttentionGroup&, Index first_key, Index last_key, float* scratch) const noexcept;
  void backward_block(const AttentionGroup&, const AttentionGroupGradient&, const AttentionBlock&,
                      float* scratch) const noexcept;
  void backward_end(const AttentionGroup&, const AttentionGroupGradient&, Index first_key, Index last_key,
                    float* scratch) const noexcept;
  Index forward_scratch_floats(Index head_size) const noexcept;
  Index backward_scratch_floats(Index head_size) const noexcept;
  Index sums_row(Index head_size) const noexcept;

 private:
  const GemmBf16& gemm_;
  const AttentionRows& rows_;
};

}  // namespace loglog::kernels
