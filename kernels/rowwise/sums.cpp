#include "kernels/rowwise/sums.hpp"

#include "kernels/profile.hpp"
#include "kernels/rowwise/float_operands.hpp"

namespace loglog::kernels {
namespace {

// Elements of one chunk of a sum of squares; part of the definition of the result.
constexpr Index kSumElements = 1 << 14;

}  // namespace

void zero(ExecContext& ctx, float* x, Index n) {
  const Timed timed(ctx, KernelFamily::sum);
  check_count("n", n);
  check_threads(ctx.threads);
  // One piece each: the C library writes a long one past the caches.
  const Index piece = std::max<Index>(ceil_div(n, ctx.threads), 1);
  parallel_tasks(ctx.threads, ceil_div(n, piece),
                 [&](Index i, int) { std::fill_n(x + i * piece, std::min(piece, n - i * piece), 0.0f); });
}

void add(ExecContext& ctx, MatrixRef out, ConstMatrixRef a, ConstMatrixRef b) {
  const Timed timed(ctx, KernelFamily::sum);
  check_shape("out", out, out.rows, out.cols);
  check_shape("a", a, out.rows, out.cols);
  check_shape("b", b, out.rows, out.cols);
  const Stores stores = stores_for(out, a.data, b.data);
  for_pieces(ctx, out.rows, out.cols, [&](Index r, Index n) {
    ctx.kernels.rowwise->add(rows_of(out, r, n), rows_of(a, r, n), rows_of(b, r, n), stores);
  });
}

void column_sums(ExecContext& ctx, float* out, const ConstFloatMatrix& in) {
  const Timed timed(ctx, KernelFamily::sum);
  check_shape("in", in, in.rows, in.cols);
  const FloatOperands<0, 1> operands(ctx, {}, {in});
  const auto run = [&](float* partial, Index first, Index count, int thread) {
    operands.run(first, count, thread, [&](Index, Index, const auto&, const auto& x, Stores) {
      ctx.kernels.rowwise->add_columns(partial, x[0]);
    });
  };
  sum_over_rows(ctx, in.rows, in.cols, 1, run, &out);
}

double sum_of_squares(ExecContext& ctx, const float* x, Index n) {
  const Timed timed(ctx, KernelFamily::sum);
  check_count("n", n);
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

std::size_t sum_of_squares_scratch_bytes(Index n) noexcept {
  return round_up_to_cache_line(static_cast<std::size_t>(ceil_div(n, kSumElements)) * sizeof(double));
}

std::size_t rowwise_scratch_bytes(const KernelTable&, int threads, Index rows, Index cols) noexcept {
  // Two sums per chunk of rows (LayerNorm's gradients), or a row per thread; and what bfloat16 operands take.
  const Index row_sums = ceil_div(rows, kSumRows) * 2 * cols, waiting = threads * WaitingRows::padded(cols);
  const Index staged = threads * kMostFloatOperands * staged_room(cols);
  return round_up_to_cache_line(static_cast<std::size_t>(std::max(row_sums, waiting) + staged) *
                                sizeof(float));
}

}  // namespace loglog::kernels
