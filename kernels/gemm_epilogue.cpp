#include "kernels/gemm_epilogue.hpp"

#include "base/check.hpp"

namespace loglog::kernels {

namespace {

bool is_empty(const FloatMatrix& c) {  // matrices without elements may start at one address
  return c.rows == 0 || c.cols == 0;
}

void check_slope(const GemmEpilogue& e, const FloatMatrix& c) {
  const ConstFloatMatrix& x = e.slope_at;
  LOGLOG_CHECK(x.rows == c.rows && x.cols == c.cols && x.col_stride == 1, "slope_at is {}x{}, c is {}x{}",
               x.rows, x.cols, c.rows, c.cols);
  LOGLOG_CHECK(e.activation != Activation::identity && e.bias == nullptr && e.pre_activation.data == nullptr,
               "slope_at takes an activation, and neither bias nor pre_activation");
  LOGLOG_CHECK(is_empty(c) || x.data != c.data, "slope_at is c, {}x{}", c.rows, c.cols);
}

}  // namespace

void check_gemm(int threads, Index a_rows, Index a_cols, Index b_rows, Index b_cols, const FloatMatrix& c,
                Accumulate accumulate, const GemmEpilogue& e, Index products) {
  check_gemm_shapes(threads, a_rows, a_cols, b_rows, b_cols, c, products);
  LOGLOG_CHECK(accumulate == Accumulate::no || e.empty(), "an epilogue cannot be accumulated");
  if (e.pre_activation.data != nullptr) {
    LOGLOG_CHECK(e.pre_activation.rows == c.rows && e.pre_activation.cols == c.cols,
                 "pre_activation is {}x{}, c is {}x{}", e.pre_activation.rows, e.pre_activation.cols, c.rows,
                 c.cols);
    check_rows_apart("pre_activation", c.rows, c.cols, e.pre_activation.row_stride);
    LOGLOG_CHECK(is_empty(c) || (e.pre_activation.data != c.data && e.pre_activation.data != e.residual.data),
                 "pre_activation is c or the residual, {}x{}", c.rows, c.cols);
  }
  if (e.slope_at.data != nullptr) check_slope(e, c);
  if (e.residual.data != nullptr) {
    LOGLOG_CHECK(e.residual.rows == c.rows && e.residual.cols == c.cols && e.residual.col_stride == 1,
                 "residual is {}x{}, c is {}x{}", e.residual.rows, e.residual.cols, c.rows, c.cols);
    const bool is_c = e.residual.data == c.data;
    const bool is_sum = e.activation == Activation::identity && e.pre_activation.data == nullptr;
    LOGLOG_CHECK(!is_c || (is_sum && c.type == FloatType::float32),
                 "c can be its own residual only in float32, without activation and pre_activation");
    LOGLOG_CHECK(!is_c || e.residual.row_stride == c.row_stride || c.rows <= 1,
                 "the residual starts where c does, with row stride {}, but c's is {}", e.residual.row_stride,
                 c.row_stride);
  }
}

void check_gemm_batch(const GemmBatch& batch, Index cols) {
  LOGLOG_CHECK(batch.count >= 0 && (batch.count <= 1 || batch.c_step >= cols),
               "{} products, c {} elements apart and {} wide", batch.count, batch.c_step, cols);
}

bool take_residual_from_c(GemmEpilogue& epilogue, const FloatMatrix& c) {
  const bool is_c = epilogue.residual.data != nullptr && epilogue.residual.data == c.data;
  if (is_c) epilogue.residual = {};
  return is_c;
}

void apply_epilogue(const GemmF32& kernel, const GemmEpilogue& e, const FloatMatrix& c, Index row, Index rows,
                    Index col, Index cols, ConstSums sums) {
  EpilogueStrip strip = {};
  strip.m = rows;
  strip.n = cols;
  strip.sums = sums.data;
  strip.sums_row = sums.row_stride;
  strip.out = c.from(row, col);
  if (e.bias != nullptr) strip.bias = e.bias + col;
  if (e.pre_activation.data != nullptr) strip.pre_activation = e.pre_activation.from(row, col);
  strip.activation = e.activation;
  if (e.slope_at.data != nullptr) strip.slope_at = e.slope_at.from(row, col);
  if (e.residual.data != nullptr) {
    strip.residual = e.residual.row(row) + col;
    strip.residual_row = e.residual.row_stride;
  }
  kernel.epilogue(strip);
}

void apply_epilogue(const GemmF32& kernel, const GemmEpilogue& e, MatrixRef c, Index row, Index rows,
                    Index col, Index cols) {
  apply_epilogue(kernel, e, c, row, rows, col, cols, {c.row(row) + col, c.row_stride});
}

}  // namespace loglog::kernels
