// What the drivers of products share beside the loops: checks and epilogues.
#pragma once
#include "kernels/check_matrix.hpp"
#include "kernels/gemm.hpp"
#include "kernels/parallel.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// ContractError if the shapes of a (a_rows, a_cols), b (b_rows, b_cols) and c disagree or have a size below 0, rows of c overlap, or
// threads < 1. A batch of no products writes no c: laid side by side they leave a row stride of 0.
template <class C>
void check_gemm_shapes(int threads, Index a_rows, Index a_cols, Index b_rows, Index b_cols, const C& c,
                       Index products = 1) {
  check_size("a", a_rows, a_cols);
  check_size("b", b_rows, b_cols);
  LOGLOG_CHECK(a_cols == b_rows && c.rows == a_rows && c.cols == b_cols, "a is {}x{}, b is {}x{}, c is {}x{}",
               a_rows, a_cols, b_rows, b_cols, c.rows, c.cols);
  if (products > 0) check_rows_apart("c", c.rows, c.cols, c.row_stride);
  check_threads(threads);
}

// ContractError as gemm.hpp promises, for a (a_rows, a_cols) and b (b_rows, b_cols).
void check_gemm(int threads, Index a_rows, Index a_cols, Index b_rows, Index b_cols, const FloatMatrix& c,
                Accumulate accumulate, const GemmEpilogue& epilogue, Index products = 1);

// ContractError if the matrices of C, `cols` wide, begin less than a row apart. That they do not overlap is the caller's promise.
void check_gemm_batch(const GemmBatch& batch, Index cols);

// A C that is its own residual would be overwritten before the epilogue reads it: takes it out of the epilogue and says
// that the product must be added to C instead.
bool take_residual_from_c(GemmEpilogue& epilogue, const FloatMatrix& c);

// On rows x cols of C whose sums are complete and still in L1: in C itself, or at `sums`.
struct ConstSums {
  const float* data;
  Index row_stride;
};
void apply_epilogue(EpilogueTile tile, const GemmEpilogue& epilogue, const FloatMatrix& c, Index row,
                    Index rows, Index col, Index cols, ConstSums sums);
void apply_epilogue(EpilogueTile tile, const GemmEpilogue& epilogue, MatrixRef c, Index row, Index rows,
                    Index col, Index cols);

}  // namespace loglog::kernels
