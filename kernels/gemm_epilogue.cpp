#include "kernels/gemm_epilogue.hpp"

#include "base/check.hpp"

namespace loglog::kernels {

void check_gemm(int threads, Index a_rows, Index a_cols, Index b_rows, Index b_cols, MatrixRef c,
                Accumulate accumulate, const GemmEpilogue& e, Index products) {
  check_gemm_shapes(threads, a_rows, a_cols, b_rows, b_cols, c, products);
  LOGLOG_CHECK(accumulate == Accumulate::no || e.empty(), "an epilogue cannot be accumulated");
  if (e.pre_activation.data != nullptr) {
    LOGLOG_CHECK(e.pre_activation.rows == c.rows && e.pre_activation.cols == c.cols,
                 "pre_activation is {}x{}, c is {}x{}", e.pre_activation.rows, e.pre_activation.cols, c.rows,
                 c.cols);
    check_rows_apart("pre_activation", c.rows, c.cols, e.pre_activation.row_stride);
    const bool is_empty = c.rows == 0 || c.cols == 0;  // matrices without elements may start at one address
    LOGLOG_CHECK(is_empty || (e.pre_activation.data != c.data && e.pre_activation.data != e.residual.data),
                 "pre_activation is c or the residual, {}x{}", c.rows, c.cols);
  }
  if (e.residual.data != nullptr) {
    LOGLOG_CHECK(e.residual.rows == c.rows && e.residual.cols == c.cols && e.residual.col_stride == 1,
                 "residual is {}x{}, c is {}x{}", e.residual.rows, e.residual.cols, c.rows, c.cols);
    const bool is_c = e.residual.data == c.data;
    LOGLOG_CHECK(!is_c || (!e.gelu && e.pre_activation.data == nullptr),
                 "c can be its own residual only without GELU and pre_activation");
    LOGLOG_CHECK(!is_c || e.residual.row_stride == c.row_stride || c.rows <= 1,
                 "the residual starts where c does, with row stride {}, but c's is {}", e.residual.row_stride,
                 c.row_stride);
  }
}

void check_gemm_batch(const GemmBatch& batch, Index cols) {
  LOGLOG_CHECK(batch.count >= 0 && (batch.count <= 1 || batch.c_step >= cols),
               "{} products, c {} elements apart and {} wide", batch.count, batch.c_step, cols);
}

bool take_residual_from_c(GemmEpilogue& epilogue, MatrixRef c) {
  const bool is_c = epilogue.residual.data != nullptr && epilogue.residual.data == c.data;
  if (is_c) epilogue.residual = {};
  return is_c;
}

void apply_epilogue(const GemmF32& kernel, const GemmEpilogue& e, MatrixRef c, Index row, Index rows,
                    Index col, Index cols) {
  EpilogueStrip strip = {};
  strip.m = rows;
  strip.n = cols;
  strip.c = c.row(row) + col;
  strip.c_row = c.row_stride;
  if (e.bias != nullptr) strip.bias = e.bias + col;
  if (e.pre_activation.data != nullptr) {
    strip.pre_activation = e.pre_activation.row(row) + col;
    strip.pre_activation_row = e.pre_activation.row_stride;
  }
  strip.gelu = e.gelu;
  if (e.residual.data != nullptr) {
    strip.residual = e.residual.row(row) + col;
    strip.residual_row = e.residual.row_stride;
  }
  kernel.epilogue(strip);
}

}  // namespace loglog::kernels
