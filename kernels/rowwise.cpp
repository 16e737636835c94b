#include "kernels/rowwise.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "kernels/parallel.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Sums over rows are made per chunk of this many rows and added in order of the chunks; part of the
// definition of the result, so it depends on nothing.
constexpr Index kSumRows = 64;
// Elements of one chunk of a sum of squares; likewise.
constexpr Index kSumElements = 1 << 14;
// A thread must have this many elements (about 10 us) before a parallel region pays for itself.
constexpr Index kMinimumElements = 1 << 14;

void check_shape(const char* name, ConstMatrixRef x, Index rows, Index cols) {
  LOGLOG_CHECK(x.rows == rows && x.cols == cols && x.col_stride == 1,
               "{} is {}x{} with column stride {}, wanted {}x{}", name, x.rows, x.cols, x.col_stride, rows,
               cols);
}

void check_tokens(const Token* tokens, Index n, Index vocab, bool may_ignore) {
  for (Index i = 0; i < n; ++i) {
    const bool valid = (tokens[i] >= 0 && tokens[i] < vocab) || (may_ignore && tokens[i] == kIgnoreTarget);
    LOGLOG_CHECK(valid, "token {} at row {} is outside 0..{}", tokens[i], i, vocab - 1);
  }
}

void check_time(Index time) {
  LOGLOG_CHECK(time >= 1, "time is {}: row r has position r % time", time);
}

ConstMatrixRef rows_of(ConstMatrixRef x, Index first, Index count) {
  return {x.row(first), count, x.cols, x.row_stride};
}
MatrixRef rows_of(MatrixRef x, Index first, Index count) {
  return {x.row(first), count, x.cols, x.row_stride};
}

// run(first, count) on pieces of 0..n, `size` elements each, that no sum crosses: the cut may follow ctx.threads.
template <class Run>
void for_pieces(const ExecContext& ctx, Index n, Index size, Run&& run) {
  check_threads(ctx.threads);
  if (n == 0) return;
  const Index wanted = std::clamp<Index>(n * std::max<Index>(size, 1) / kMinimumElements, 1, 4 * ctx.threads);
  const Index step = ceil_div(n, ctx.threads == 1 ? 1 : std::min(wanted, n));
  parallel_tasks(ctx.threads, ceil_div(n, step),
                 [&](Index i, int) { run(i * step, std::min(step, n - i * step)); });
}

// out (C) += sum over rows, for one or more sums at once: run(partial, first, count) adds rows
// first..first+count to partial (sums), chunk by chunk; then chunks are added in ascending order.
template <class Run>
void sum_over_rows(ExecContext& ctx, Index rows, Index cols, Index sums, Run&& run, float* const* outs) {
  check_threads(ctx.threads);
  const Index chunks = ceil_div(rows, kSumRows);
  ScratchFrame frame(ctx.scratch);
  float* const partial = frame.take<float>(static_cast<std::size_t>(chunks * sums * cols));
  const int threads = rows * cols < 2 * kMinimumElements ? 1 : ctx.threads;
  parallel_tasks(threads, chunks, [&](Index i, int) {
    float* const mine = partial + i * sums * cols;
    std::fill_n(mine, sums * cols, 0.0f);
    run(mine, i * kSumRows, std::min(kSumRows, rows - i * kSumRows));
  });
  for (Index i = 0; i < chunks; ++i) {
    for (Index s = 0; s < sums; ++s) {
      const float* const mine = partial + (i * sums + s) * cols;
      if (outs[s] == nullptr) continue;
      for (Index j = 0; j < cols; ++j) outs[s][j] += mine[j];
    }
  }
}

}  // namespace

void layernorm_forward(ExecContext& ctx, MatrixRef out, float* mean, float* rstd, ConstMatrixRef in,
                       const float* gain, const float* bias, float epsilon) {
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (in.cols == 0) return;
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->layernorm_forward(rows_of(out, r, n), mean + r, rstd + r, rows_of(in, r, n), gain,
                                           bias, epsilon);
  });
}

void layernorm_backward(ExecContext& ctx, MatrixRef d_in, float* d_gain, float* d_bias, ConstMatrixRef d_out,
                        ConstMatrixRef in, const float* mean, const float* rstd, const float* gain) {
  check_shape("d_in", d_in, in.rows, in.cols);
  check_shape("d_out", d_out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  if (in.cols == 0) return;
  float* const outs[] = {d_gain, d_bias};
  const auto run = [&](float* partial, Index r, Index n) {
    ctx.kernels.rowwise->layernorm_backward(
        rows_of(d_in, r, n), partial, d_bias == nullptr ? nullptr : partial + in.cols, rows_of(d_out, r, n),
        rows_of(in, r, n), mean + r, rstd + r, gain);
  };
  sum_over_rows(ctx, in.rows, in.cols, 2, run, outs);
}

void gelu_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef in) {
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->gelu_forward(rows_of(out, r, n), rows_of(in, r, n));
  });
}

void gelu_backward(ExecContext& ctx, MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef in) {
  check_shape("d_in", d_in, in.rows, in.cols);
  check_shape("d_out", d_out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->gelu_backward(rows_of(d_in, r, n), rows_of(d_out, r, n), rows_of(in, r, n));
  });
}

void add(ExecContext& ctx, MatrixRef out, ConstMatrixRef a, ConstMatrixRef b) {
  check_shape("a", a, out.rows, out.cols);
  check_shape("b", b, out.rows, out.cols);
  for_pieces(ctx, out.rows, out.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->add(rows_of(out, r, n), rows_of(a, r, n), rows_of(b, r, n));
  });
}

void column_sums(ExecContext& ctx, float* out, ConstMatrixRef in) {
  check_shape("in", in, in.rows, in.cols);
  const auto run = [&](float* partial, Index r, Index n) {
    ctx.kernels.rowwise->add_columns(partial, rows_of(in, r, n));
  };
  sum_over_rows(ctx, in.rows, in.cols, 1, run, &out);
}

void cross_entropy_forward(ExecContext& ctx, float* losses, ConstMatrixRef logits, const Token* targets) {
  cross_entropy_forward_backward(ctx, losses, {}, logits, targets, 0.0f);
}

void cross_entropy_forward_backward(ExecContext& ctx, float* losses, MatrixRef d_logits,
                                    ConstMatrixRef logits, const Token* targets, float scale) {
  const bool wants_gradient = d_logits.data != nullptr;
  if (wants_gradient) check_shape("d_logits", d_logits, logits.rows, logits.cols);
  check_shape("logits", logits, logits.rows, logits.cols);
  LOGLOG_CHECK(logits.cols >= 1, "logits have {} columns", logits.cols);
  check_tokens(targets, logits.rows, logits.cols, true);
  for_pieces(ctx, logits.rows, logits.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->cross_entropy(losses + r, wants_gradient ? rows_of(d_logits, r, n) : MatrixRef{},
                                       rows_of(logits, r, n), targets + r, kIgnoreTarget, scale);
  });
}

void embedding_forward(ExecContext& ctx, MatrixRef out, ConstMatrixRef token_table,
                       ConstMatrixRef position_table, const Token* tokens, Index time) {
  check_shape("token_table", token_table, token_table.rows, out.cols);
  check_time(time);
  check_shape("position_table", position_table, time, out.cols);
  check_tokens(tokens, out.rows, token_table.rows, false);
  for_pieces(ctx, out.rows, out.cols, [&](Index first, Index count) {
    for (Index r = first; r < first + count; ++r) {
      ctx.kernels.rowwise->add(rows_of(out, r, 1), rows_of(token_table, tokens[r], 1),
                               rows_of(position_table, r % time, 1));
    }
  });
}

void embedding_backward(ExecContext& ctx, MatrixRef d_token_table, MatrixRef d_position_table,
                        ConstMatrixRef d_out, const Token* tokens, Index time) {
  check_shape("d_token_table", d_token_table, d_token_table.rows, d_out.cols);
  check_time(time);
  check_shape("d_position_table", d_position_table, time, d_out.cols);
  check_shape("d_out", d_out, d_out.rows, d_out.cols);
  check_tokens(tokens, d_out.rows, d_token_table.rows, false);
  // Two rows may have the same token, so threads share the columns: each goes over all rows in order.
  constexpr Index kColumns = kCacheLineBytes / sizeof(float);
  const Index column_blocks = ceil_div(d_out.cols, kColumns);
  for_pieces(ctx, column_blocks, kColumns * d_out.rows, [&](Index first, Index count) {
    const Index col = first * kColumns, cols = std::min(count * kColumns, d_out.cols - col);
    for (Index r = 0; r < d_out.rows; ++r) {
      const MatrixRef token_row = rows_of(d_token_table, tokens[r], 1).columns(col, cols);
      const MatrixRef position_row = rows_of(d_position_table, r % time, 1).columns(col, cols);
      const ConstMatrixRef gradient(d_out.row(r) + col, 1, cols, d_out.row_stride);
      ctx.kernels.rowwise->add(token_row, token_row, gradient);
      ctx.kernels.rowwise->add(position_row, position_row, gradient);
    }
  });
}

void adamw(ExecContext& ctx, float* param, float* m, float* v, const float* grad, Index n,
           const AdamWStep& step) {
  LOGLOG_CHECK(step.step >= 1, "step is {}, the first update is 1", step.step);
  const double exponent = static_cast<double>(step.step);
  const AdamWCoefficients coefficients = {
      .lr = step.lr,
      .beta1 = step.beta1,
      .one_minus_beta1 = 1.0f - step.beta1,
      .beta2 = step.beta2,
      .one_minus_beta2 = 1.0f - step.beta2,
      .epsilon = step.epsilon,
      .weight_decay = step.weight_decay,
      .grad_scale = step.grad_scale,
      .correct1 = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(step.beta1), exponent))),
      .correct2 = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(step.beta2), exponent)))};
  for_pieces(ctx, n, 1, [&](Index i, Index count) {
    ctx.kernels.rowwise->adamw(param + i, m + i, v + i, grad + i, count, coefficients);
  });
}

double sum_of_squares(ExecContext& ctx, const float* x, Index n) {
  check_threads(ctx.threads);
  const Index chunks = ceil_div(n, kSumElements);
  ScratchFrame frame(ctx.scratch);
  double* const partial = frame.take<double>(static_cast<std::size_t>(chunks));
  parallel_tasks(ctx.threads, chunks, [&](Index i, int) {
    const Index first = i * kSumElements;
    partial[i] = ctx.kernels.rowwise->square_sum(x + first, std::min(kSumElements, n - first));
  });
  double sum = 0.0;
  for (Index i = 0; i < chunks; ++i) sum += partial[i];
  return sum;
}

std::size_t rowwise_scratch_bytes(const KernelTable&, int, Index rows, Index cols) noexcept {
  // Two sums per chunk of rows (LayerNorm's gradients), or one double per chunk of elements.
  const Index row_sums = ceil_div(rows, kSumRows) * 2 * cols * static_cast<Index>(sizeof(float));
  const Index squares = ceil_div(rows * cols, kSumElements) * static_cast<Index>(sizeof(double));
  return round_up_to_cache_line(static_cast<std::size_t>(std::max(row_sums, squares)));
}

}  // namespace loglog::kernels
