// Products of float32 activations with weights of 8 or 4 bits, which become float32 again block by block, on their way to the
// register tile: they take a quarter or an eighth of the memory, and few rows of A read that much less of it.
//
//   W[k,j] ~ W'[k,j] = scale[j,g] (q[k,j] - zero[j,g])       g = k / group: rows of a column that share a scale and a zero
//   C[M,N] = op(A[M,K] W'[K,N])                              op as in gemm.hpp
//
// Source: Yao, Aminabadi, Zhang, Wu, Li, He 2022, ZeroQuant (weights quantised by groups).
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/block.hpp"
#include "kernels/exec.hpp"
#include "kernels/gemm.hpp"
#include "kernels/matrix.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// What the bits cover. The range always contains 0, so that 0 is exact.
enum class GroupRange {
  absmax,     // -max|w|..max|w|; zero is 128 or 8, q is at least 1
  zeropoint,  // min..max, zero in between
};

// W (K,N) as it is quantised, in the form that files hold.
struct GroupedColumns {
  Index rows = 0, cols = 0;  // K, N
  int bits = 8;              // 8 or 4
  Index group = 1;           // 1..K; K: one scale and zero per column
  // (N,K), column after column. Of 4 bits (N, ceil(K / 2)): row k in byte k / 2, even rows in its lower half.
  std::vector<std::uint8_t> q;
  std::vector<float> scale;        // (N, ceil(K / group))
  std::vector<std::uint8_t> zero;  // likewise

  Index groups() const { return ceil_div(rows, group); }  // of a column
};

// Shapes     w (K,N). Any dimension may be 0. bits 8 or 4. group 1..K, 1 for a K of 0.
// Strides    any, one of them 1.
// Alignment  none required.
// Aliasing   none: the result has memory of its own.
// Reads      only elements inside the shape.
// Rounding   q = nearest integer to w / scale, ties to even, + zero. Where |w| < 2^127, |w - W'| <= scale (1/2 + 2^-14); a group
//            whose range is within 2^-119 counts as 0 altogether, with scale 0.
// Order      none: a group depends on itself alone.
// Errors     std::bad_alloc; ContractError if w is not finite, bits or group are others, or a size is below 0.
GroupedColumns quantize_groups(ConstMatrixRef w, int bits, Index group, GroupRange range);

// The right factor W (K,N), packed once: panels of as many columns as float32 has, their K behind each other.
//
// Errors     std::bad_alloc; ContractError if bits or group are none of the above, a size is below 0, sizes of w's members
//            disagree, a scale is not finite, or a zero is none of so many bits.
class WeightOnlyMatrix {
 public:
  WeightOnlyMatrix(const KernelTable& table, const GroupedColumns& w);

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  int bits() const { return bits_; }
  Index group() const { return group_; }
  int panel_columns() const { return nr_; }
  std::size_t bytes() const;  // of all this

  // What a matrix of these sizes will take.
  static std::size_t bytes(const KernelTable& table, Index rows, Index cols, int bits, Index group) noexcept;

  // Column j of W' (K), each element scale (q - zero) rounded to float32 once.
  void copy_column(float* out, Index j) const;

  // That of column j, a multiple of panel_columns().
  QuantizedPanel panel(Index j) const;

 private:
  Index rows_, cols_, group_;
  int bits_, nr_;
  Block q_, scale_, zero_;
};

// Shapes     a (M,K), w (K,N), c (M,N). Any of them may be 0; K == 0 multiplies nothing and still runs the epilogue.
// Strides    of a any, one of them 1; of c rows any, columns 1.
// Alignment  none required.
// Aliasing   as of gemm.
// Reads      only elements inside the shapes. An infinity or NaN of a reaches its row.
// Rounding   that of gemm with the matrix W', whose bits these are.
// Order      that of gemm: a row's bits depend neither on the other rows nor on ctx.threads.
// Errors     ContractError as of gemm, or if w was packed for a table with other panels.
void gemm_weight_only(ExecContext& ctx, ConstMatrixRef a, const WeightOnlyMatrix& w, MatrixRef c,
                      const GemmEpilogue& epilogue = {});

// Bytes that gemm_weight_only takes at most from ctx.scratch for these sizes.
std::size_t gemm_weight_only_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                           LeftFactor a = LeftFactor::transposed) noexcept;

}  // namespace loglog::kernels
