#include "kernels/rowwise/dropout.hpp"

#include "kernels/profile.hpp"
#include "kernels/rowwise/float_operands.hpp"

namespace loglog::kernels {
namespace {

void check_dropout(const Dropout& dropout, Index rows, Index cols) {
  LOGLOG_CHECK(dropout.rate >= 0.0f && dropout.rate < 1.0f, "rate is {}", dropout.rate);
  const double elements = static_cast<double>(dropout.first_row + rows) * static_cast<double>(cols);
  LOGLOG_CHECK(dropout.first_row >= 0 && elements <= 0x1p32, "{} elements of {} rows are too many", elements,
               dropout.first_row + rows);
}

// put(j, factor of element j) for a row.
template <class Put>
void for_factors(const Dropout& dropout, Index row, Index cols, Put&& put) {
  const float kept = 1.0f / (1.0f - dropout.rate);
  const auto first = static_cast<std::uint32_t>((dropout.first_row + row) * cols);
  for (Index j = 0; j < cols; ++j) put(j, dropout.keeps(first + static_cast<std::uint32_t>(j)) ? kept : 0.0f);
}

}  // namespace

void drop_and_add(ExecContext& ctx, MatrixRef out, const ConstFloatMatrix& in, ConstMatrixRef residual,
                  const Dropout& dropout) {
  const Timed timed(ctx, KernelFamily::dropout);
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  check_shape("residual", residual, in.rows, in.cols);
  check_dropout(dropout, in.rows, in.cols);
  for_float_rows<1, 2>(ctx, {out}, {in, residual},
                       [&](Index first, Index count, const auto& y, const auto& x, Stores) {
                         for (Index i = 0; i < count; ++i) {
                           float* const to = y[0].row(i);
                           const float *const from = x[0].row(i), *const beside = x[1].row(i);
                           for_factors(dropout, first + i, in.cols,
                                       [&](Index j, float factor) { to[j] = beside[j] + from[j] * factor; });
                         }
                       });
}

void drop(ExecContext& ctx, const FloatMatrix& out, ConstMatrixRef in, const Dropout& dropout) {
  const Timed timed(ctx, KernelFamily::dropout);
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  check_dropout(dropout, in.rows, in.cols);
  for_float_rows<1, 1>(ctx, {out}, {in}, [&](Index first, Index count, const auto& y, const auto& x, Stores) {
    for (Index i = 0; i < count; ++i) {
      float* const to = y[0].row(i);
      const float* const from = x[0].row(i);
      for_factors(dropout, first + i, in.cols, [&](Index j, float factor) { to[j] = from[j] * factor; });
    }
  });
}

}  // namespace loglog::kernels
