#include "kernels/gemm_f32.hpp"

#include <algorithm>

#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_splits.hpp"
#include "kernels/pack.hpp"
#include "kernels/parallel.hpp"
#include "kernels/profile.hpp"

namespace loglog::kernels {
namespace {

// Where A is transposed and C has at least kTall rows per column, C^T = B^T A^T is computed, with the same bits: a transposed A costs
// more than a B, more so the taller it is. With so much K that the two transposes of C count little (1024 steps 0.83 to 1.06 times as
// fast, 4096 steps avx2 0.93 to 1.06, avx512 0.98 to 1.38), or where C^T has few rows (1.2 to 8).
constexpr Index kTall = 2, kTallDepth = 2048, kTallFewDepth = 256;

// K == 0: a sum of nothing.
void write_empty_sum(const GemmF32Product& p) {
  if (!p.accumulate) {
    for (Index i = 0; i < p.c.rows; ++i) std::fill_n(p.c.row(i), p.c.cols, 0.0f);
  }
  if (!p.epilogue.empty()) apply_epilogue(p.kernel.epilogue, p.epilogue, p.c, 0, p.c.rows, 0, p.c.cols);
}

// The sums of all splits but the first lie in scratch until C takes them, in ascending order.
void multiply_splits(ExecContext& ctx, const GemmF32Product& problem, Index splits) {
  const MatrixRef c = problem.c;
  const Index depth = problem.a.cols, blocks = ceil_div(depth, kGemmF32Kc);
  const GemmTasks tasks =
      choose_gemm_tasks(problem.kernel.mr, problem.nr, ctx.threads, splits, c.rows, c.cols, depth / splits);
  const GemmF32JobFloats floats =
      gemm_f32_job_floats(problem.kernel, c.rows, c.cols, depth, problem.right_factor());
  ScratchFrame frame(ctx.scratch);
  float* const packed = frame.take<float>(static_cast<std::size_t>(floats.all() * tasks.team));
  float* const sums = frame.take<float>(static_cast<std::size_t>((splits - 1) * c.rows * c.cols));
  const auto sums_of = [&](Index split) {
    return MatrixRef(sums + (split - 1) * c.rows * c.cols, c.rows, c.cols);
  };
  parallel_tasks(tasks.team, tasks.count, [&](Index task, int thread) {
    const Index split = tasks.product(task);
    GemmF32Product part = problem;
    part.epilogue = {};
    part.first = split * blocks / splits * kGemmF32Kc;
    part.end = std::min(depth, (split + 1) * blocks / splits * kGemmF32Kc);
    if (split > 0) {
      part.c = sums_of(split);
      part.accumulate = false;
    }
    float* const mine = packed + thread * floats.all();
    run_gemm_f32_job(part, tasks.job(task), mine, mine + floats.a);
  });
  add_splits(ctx, c, Accumulate::yes, sums, splits - 1, problem.kernel.epilogue, problem.epilogue);
}

void multiply_all(ExecContext& ctx, const GemmF32Product& problem, const GemmBatch& batch) {
  const MatrixRef c = problem.c;
  const Index depth = problem.a.cols;
  const GemmTasks tasks =
      choose_gemm_tasks(problem.kernel.mr, problem.nr, ctx.threads, batch.count, c.rows, c.cols, depth);
  const GemmF32JobFloats floats =
      gemm_f32_job_floats(problem.kernel, c.rows, c.cols, depth, problem.right_factor());
  ScratchFrame frame(ctx.scratch);
  float* const packed = frame.take<float>(static_cast<std::size_t>(floats.all() * tasks.team));

  parallel_tasks(tasks.team, tasks.count, [&](Index task, int thread) {
    float* const mine = packed + thread * floats.all();
    run_gemm_f32_job(problem.in_batch(batch, tasks.product(task)), tasks.job(task), mine, mine + floats.a);
  });
}

void multiply_one(ExecContext& ctx, const GemmF32Product& problem, Index splits) {
  splits > 1 ? multiply_splits(ctx, problem, splits) : multiply_all(ctx, problem, {});
}

bool is_tall(LeftFactor left, Index m, Index n, Index k) {
  return left == LeftFactor::transposed && m >= kTall * n &&
         k >= (n <= kGemmF32FewRows ? kTallFewDepth : kTallDepth);
}

// Both without gaps between their rows.
void transpose(ExecContext& ctx, MatrixRef out, ConstMatrixRef in) {
  const Index rows_at_once = ceil_div(out.rows, ctx.threads);
  parallel_tasks(ctx.threads, ceil_div(out.rows, rows_at_once), [&](Index task, int) {
    const Index first = task * rows_at_once;
    pack_panels(out.row(first), LinesView<float>{in.data + first, in.row_stride, 1}, out.cols, out.cols,
                std::min(rows_at_once, out.rows - first));
  });
}

void multiply_tall(ExecContext& ctx, const GemmF32Product& problem, Index splits) {
  const MatrixRef c = problem.c;
  ScratchFrame frame(ctx.scratch);
  const MatrixRef turned_c(frame.take<float>(static_cast<std::size_t>(c.rows * c.cols)), c.cols, c.rows);
  if (problem.accumulate) transpose(ctx, turned_c, c);
  multiply_one(ctx,
               {.kernel = problem.kernel,
                .a = problem.b.transposed(),
                .b = problem.a.transposed(),
                .c = turned_c,
                .accumulate = problem.accumulate},
               splits);
  transpose(ctx, c, turned_c);
}

}  // namespace

void multiply_f32(ExecContext& ctx, GemmF32Product problem, Index b_rows, Index b_cols, Accumulate accumulate,
                  const GemmBatch& batch) {
  const Timed timed(ctx, KernelFamily::product);
  const MatrixRef c = problem.c;
  const Index depth = problem.a.cols;
  check_gemm(ctx.threads, problem.a.rows, depth, b_rows, b_cols, c, accumulate, problem.epilogue,
             batch.count);
  problem.accumulate = take_residual_from_c(problem.epilogue, c) || accumulate == Accumulate::yes;
  if (c.rows == 0 || c.cols == 0 || batch.count == 0) return;
  if (depth == 0) {
    for (Index e = 0; e < batch.count; ++e) write_empty_sum(problem.in_batch(batch, e));
    return;
  }
  if (batch.count > 1) return multiply_all(ctx, problem, batch);

  const LeftFactor left = is_transposed(problem.a) ? LeftFactor::transposed : LeftFactor::as_it_is;
  const Index splits = gemm_splits(left, c.rows, c.cols, depth);
  const bool rows_of_k = problem.right_factor() == RightFactor::matrix && problem.b.col_stride == 1;
  const bool can_turn = rows_of_k && c.row_stride == c.cols && problem.epilogue.empty();
  can_turn&& is_tall(left, c.rows, c.cols, depth) ? multiply_tall(ctx, problem, splits)
                                                  : multiply_one(ctx, problem, splits);
}

std::size_t gemm_f32_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                   RightFactor b, LeftFactor a) noexcept {
  const auto bytes = [&](Index floats) {
    return round_up_to_cache_line(static_cast<std::size_t>(floats) * sizeof(float));
  };
  const auto packed = [&](const GemmF32* tile, Index rows, Index cols) {
    return bytes(threads * gemm_f32_job_floats(*tile, rows, cols, k, b).all());
  };
  std::size_t most = packed(table.gemm_f32, m, n);
  if (suits_in_place(table, n)) most = std::max(most, packed(table.gemm_f32_in_place, m, n));
  if (is_tall(a, m, n, k) && b == RightFactor::matrix)
    most = std::max(most, packed(table.gemm_f32, n, m) + bytes(m * n));
  return most + bytes((gemm_splits(a, m, n, k) - 1) * m * n);
}

}  // namespace loglog::kernels
