#include "kernels/rowwise/adafactor.hpp"

#include <cmath>

#include "kernels/profile.hpp"
#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {
namespace {

// Plain loops over rows in pieces that are fixed by shape: one optimiser step in some hundred products.
template <class Run>
void for_row_chunks(const ExecContext& ctx, Index rows, Run&& run) {
  parallel_tasks(ctx.threads, ceil_div(rows, kSumRows), [&](Index chunk, int) {
    run(chunk, chunk * kSumRows, std::min(rows, (chunk + 1) * kSumRows));
  });
}

float square_of(float g, const AdafactorStep& step) {
  return g * step.grad_scale * (g * step.grad_scale) + step.epsilon;
}

// row and col, the second by partial sums of each chunk.
void update_moments(ExecContext& ctx, ConstMatrixRef grad, float* row, float* col,
                    const AdafactorStep& step) {
  const Index cols = grad.cols;
  ScratchFrame frame(ctx.scratch);
  float* const sums = frame.take<float>(static_cast<std::size_t>(cols));
  std::fill_n(sums, cols, 0.0f);
  const float fresh = 1.0f - step.beta2;
  const auto add_rows = [&](float* partial, Index first, Index count, int) {
    for (Index i = first; i < first + count; ++i) {
      const float* const g = grad.row(i);
      float sum = 0.0f;
      for (Index j = 0; j < cols; ++j) {
        const float s = square_of(g[j], step);
        sum += s;
        partial[j] += s;
      }
      if (grad.rows > 1) row[i] = step.beta2 * row[i] + fresh * (sum / static_cast<float>(cols));
    }
  };
  float* const outs[] = {sums};
  sum_over_rows(ctx, grad.rows, cols, 1, add_rows, outs);
  for (Index j = 0; j < cols; ++j)
    col[j] = step.beta2 * col[j] + fresh * (sums[j] / static_cast<float>(grad.rows));
}

}  // namespace

void adafactor(ExecContext& ctx, MatrixRef param, ConstMatrixRef grad, float* row, float* col,
               const AdafactorStep& step) {
  const Timed timed(ctx, KernelFamily::optimizer);
  check_shape("grad", grad, grad.rows, grad.cols);
  check_shape("param", param, grad.rows, grad.cols);
  LOGLOG_CHECK(grad.rows >= 1 && grad.cols >= 1, "grad is {}x{}", grad.rows, grad.cols);
  LOGLOG_CHECK(col != nullptr && (row != nullptr || grad.rows == 1), "a moment is missing");
  const Index rows = grad.rows, cols = grad.cols;
  update_moments(ctx, grad, row, col, step);
  double row_sum = 0.0;
  for (Index i = 0; i < rows && rows > 1; ++i) row_sum += static_cast<double>(row[i]);
  const float row_mean = rows > 1 ? static_cast<float>(row_sum / static_cast<double>(rows)) : 1.0f;
  // 1 / sqrt(V) = factor(i) / sqrt(col[j])
  const auto factor = [&](Index i) { return rows > 1 ? std::sqrt(row_mean / row[i]) : 1.0f; };
  const auto update = [&](Index i, Index j, float of_row) {
    return grad.row(i)[j] * step.grad_scale * of_row / std::sqrt(col[j]);
  };

  ScratchFrame frame(ctx.scratch);
  const Index chunks = ceil_div(rows, kSumRows);
  double* const squares = frame.take<double>(static_cast<std::size_t>(chunks));
  for_row_chunks(ctx, rows, [&](Index chunk, Index first, Index last) {
    double sum = 0.0;
    for (Index i = first; i < last; ++i) {
      const float of_row = factor(i);
      for (Index j = 0; j < cols; ++j) sum += std::pow(static_cast<double>(update(i, j, of_row)), 2);
    }
    squares[chunk] = sum;
  });
  double sum = 0.0;
  for (Index c = 0; c < chunks; ++c) sum += squares[c];
  const double rms = std::sqrt(sum / (static_cast<double>(rows) * static_cast<double>(cols)));
  const auto shrink = static_cast<float>(1.0 / std::max(1.0, rms / static_cast<double>(step.clip)));
  for_row_chunks(ctx, rows, [&](Index, Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const float of_row = factor(i) * shrink;
      float* const x = param.row(i);
      for (Index j = 0; j < cols; ++j) x[j] -= step.lr * (update(i, j, of_row) + step.weight_decay * x[j]);
    }
  });
}

}  // namespace loglog::kernels
