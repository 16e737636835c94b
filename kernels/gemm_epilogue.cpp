#include "kernels/gemm_epilogue.hpp"

#include "base/check.hpp"

namespace loglog::kernels {

namespace {

bool is_empty(const FloatMatrix& c) {  // matrices without elements may start at one address
  return c.rows == 0 || c.cols == 0;
}

// A matrix beside c that the epilogue reads or writes. Those without elements may start at one address.
template <class Matrix>
void check_beside(const char* name, const Matrix& x, const FloatMatrix& c) {
  LOGLOG_CHECK(x.rows == c.rows && x.cols == c.cols && x.type == c.type,
               "{} is {}x{} of {} bytes, c {}x{} of {}", name, x.rows, x.cols, bytes_of(x.type), c.rows,
               c.cols, bytes_of(c.type));
  LOGLOG_CHECK(is_empty(c) || x.data != c.data, "{} is c, {}x{}", name, c.rows, c.cols);
}

}  // namespace

void check_gemm(int threads, Index a_rows, Index a_cols, Index b_rows, Index b_cols, const FloatMatrix& c,
                Accumulate accumulate, const GemmEpilogue& e, Index products) {
  check_gemm_shapes(threads, a_rows, a_cols, b_rows, b_cols, c, products);
  LOGLOG_CHECK(accumulate == Accumulate::no || e.empty(), "an epilogue cannot be accumulated");
  if (e.factor.data != nullptr) {
    check_beside("factor", e.factor, c);
    LOGLOG_CHECK(e.factor.col_stride == 1, "factor has column stride {}", e.factor.col_stride);
  }
  if (e.slope.data != nullptr) {
    check_beside("slope", e.slope, c);
    check_rows_apart("slope", c.rows, c.cols, e.slope.row_stride);
    LOGLOG_CHECK(is_empty(c) || (e.slope.data != e.factor.data && e.slope.data != e.residual.data),
                 "slope is the factor or the residual, {}x{}", c.rows, c.cols);
  }
  if (e.residual.data != nullptr) {
    LOGLOG_CHECK(e.residual.rows == c.rows && e.residual.cols == c.cols && e.residual.col_stride == 1,
                 "residual is {}x{}, c is {}x{}", e.residual.rows, e.residual.cols, c.rows, c.cols);
    const bool is_c = e.residual.data == c.data;
    const bool is_sum =
        e.activation == Activation::identity && e.slope.data == nullptr && e.factor.data == nullptr;
    LOGLOG_CHECK(!is_c || (is_sum && c.type == FloatType::float32),
                 "c can be its own residual only in float32, without activation, slope and factor");
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

void apply_epilogue(EpilogueTile tile, const GemmEpilogue& e, const FloatMatrix& c, Index row, Index rows,
                    Index col, Index cols, ConstSums sums) {
  EpilogueStrip strip = {};
  strip.m = rows;
  strip.n = cols;
  strip.sums = sums.data;
  strip.sums_row = sums.row_stride;
  strip.out = c.from(row, col);
  if (e.bias != nullptr) strip.bias = e.bias + col;
  strip.activation = e.activation;
  if (e.slope.data != nullptr) strip.slope = e.slope.from(row, col);
  if (e.factor.data != nullptr) strip.factor = e.factor.from(row, col);
  if (e.residual.data != nullptr) {
    strip.residual = e.residual.row(row) + col;
    strip.residual_row = e.residual.row_stride;
  }
  tile(strip);
}

void apply_epilogue(EpilogueTile tile, const GemmEpilogue& e, MatrixRef c, Index row, Index rows, Index col,
                    Index cols) {
  apply_epilogue(tile, e, c, row, rows, col, cols, {c.row(row) + col, c.row_stride});
}

}  // namespace loglog::kernels
