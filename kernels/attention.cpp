#include "kernels/attention.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "kernels/parallel.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

void check_operand(const char* name, ConstMatrixRef x, const AttentionShape& s) {
  const Index rows = s.batch * s.time, cols = s.heads * s.head_size;
  LOGLOG_CHECK(x.rows == rows && x.cols == cols && x.col_stride == 1,
               "{} is {}x{} with column stride {}, wanted {}x{} (B={} T={} H={} D={})", name, x.rows, x.cols,
               x.col_stride, rows, cols, s.batch, s.time, s.heads, s.head_size);
}

// Floats of one thread, a whole number of cache lines so that threads share none.
Index thread_floats(Index floats) {
  return static_cast<Index>(round_up_to_cache_line(static_cast<std::size_t>(floats) * sizeof(float)) /
                            sizeof(float));
}

// Threads that get work, when one (batch, head) is one task. threads >= 1.
int team_size(int threads, const AttentionShape& s) {
  return static_cast<int>(std::clamp<Index>(s.batch * s.heads, 1, threads));
}

bool is_empty(const AttentionShape& s) {
  return s.batch * s.heads * s.time == 0;
}

// One (batch, head): where it starts in a (B*T, H*D) matrix.
struct HeadPosition {
  Index row, col, lse;
  HeadPosition(Index task, const AttentionShape& s)
      : row(task / s.heads * s.time), col(task % s.heads * s.head_size), lse(task * s.time) {}
  template <class Matrix>
  auto* in(const Matrix& x) const {
    return x.row(row) + col;
  }
};

AttentionHead head_at(const HeadPosition& at, ConstMatrixRef q, ConstMatrixRef k, ConstMatrixRef v,
                      const AttentionShape& s) {
  const float scale =
      static_cast<float>(1.0 / std::sqrt(static_cast<double>(std::max<Index>(s.head_size, 1))));
  return {s.time, s.head_size, scale, at.in(q), at.in(k), at.in(v), q.row_stride, k.row_stride, v.row_stride};
}

}  // namespace

void attention_forward(ExecContext& ctx, MatrixRef out, float* lse, ConstMatrixRef q, ConstMatrixRef k,
                       ConstMatrixRef v, const AttentionShape& shape) {
  check_threads(ctx.threads);
  check_operand("out", out, shape);
  check_operand("q", q, shape);
  check_operand("k", k, shape);
  check_operand("v", v, shape);
  if (is_empty(shape)) return;
  const Attention& kernel = *ctx.kernels.attention;
  const int team = team_size(ctx.threads, shape);
  const Index floats = thread_floats(kernel.forward_scratch_floats(shape.time, shape.head_size));
  ScratchFrame frame(ctx.scratch);
  float* const scratch = frame.take<float>(static_cast<std::size_t>(floats * team));
  parallel_tasks(team, shape.batch * shape.heads, [&](Index task, int thread) {
    const HeadPosition at(task, shape);
    kernel.head_forward(head_at(at, q, k, v, shape), at.in(out), out.row_stride, lse + at.lse,
                        scratch + thread * floats);
  });
}

void attention_backward(ExecContext& ctx, MatrixRef d_q, MatrixRef d_k, MatrixRef d_v, ConstMatrixRef d_out,
                        ConstMatrixRef q, ConstMatrixRef k, ConstMatrixRef v, ConstMatrixRef out,
                        const float* lse, const AttentionShape& shape) {
  check_threads(ctx.threads);
  check_operand("d_q", d_q, shape);
  check_operand("d_k", d_k, shape);
  check_operand("d_v", d_v, shape);
  check_operand("d_out", d_out, shape);
  check_operand("q", q, shape);
  check_operand("k", k, shape);
  check_operand("v", v, shape);
  check_operand("out", out, shape);
  if (is_empty(shape)) return;
  const Attention& kernel = *ctx.kernels.attention;
  const int team = team_size(ctx.threads, shape);
  const Index floats = thread_floats(kernel.backward_scratch_floats(shape.time, shape.head_size));
  ScratchFrame frame(ctx.scratch);
  float* const scratch = frame.take<float>(static_cast<std::size_t>(floats * team));
  parallel_tasks(team, shape.batch * shape.heads, [&](Index task, int thread) {
    const HeadPosition at(task, shape);
    const AttentionHeadGradient gradient = {at.in(d_out),   at.in(out),     d_out.row_stride, out.row_stride,
                                            lse + at.lse,   at.in(d_q),     at.in(d_k),       at.in(d_v),
                                            d_q.row_stride, d_k.row_stride, d_v.row_stride};
    kernel.head_backward(head_at(at, q, k, v, shape), gradient, scratch + thread * floats);
  });
}

std::size_t attention_scratch_bytes(const KernelTable& table, int threads,
                                    const AttentionShape& shape) noexcept {
  if (is_empty(shape)) return 0;
  const Attention& kernel = *table.attention;
  const Index floats = std::max(kernel.forward_scratch_floats(shape.time, shape.head_size),
                                kernel.backward_scratch_floats(shape.time, shape.head_size));
  return static_cast<std::size_t>(thread_floats(floats) * team_size(threads, shape)) * sizeof(float);
}

}  // namespace loglog::kernels
