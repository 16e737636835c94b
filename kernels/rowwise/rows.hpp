// What the drivers of this folder share: how rows are checked and cut, and when results go past the caches.
#pragma once
#include <algorithm>
#include <concepts>

#include "base/check.hpp"
#include "kernels/check_matrix.hpp"
#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"
#include "kernels/parallel.hpp"
#include "kernels/rowwise/token.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// Sums over rows are made per chunk of this many rows and added in order of the chunks; part of the
// definition of the result, so it depends on nothing.
inline constexpr Index kSumRows = 64;
// A thread must have this many elements (about 10 us) before a parallel region pays for itself.
inline constexpr Index kMinimumElements = 1 << 14;
// Results of this many bytes are streamed (see stores_for).
inline constexpr Index kStreamBytes = 32 << 20;

template <class T>
void check_shape(const char* name, ConstMatrix<T> x, Index rows, Index cols) {
  check_size(name, x.rows, x.cols);
  LOGLOG_CHECK(x.rows == rows && x.cols == cols && x.col_stride == 1,
               "{} is {}x{} with column stride {}, wanted {}x{}", name, x.rows, x.cols, x.col_stride, rows,
               cols);
}
// Of what is written.
template <class T>
void check_shape(const char* name, Matrix<T> x, Index rows, Index cols) {
  check_shape(name, ConstMatrix<T>(x), rows, cols);
  check_rows_apart(name, rows, cols, x.row_stride);
}

inline void check_tokens(const Token* tokens, Index n, Index vocab, bool may_ignore) {
  for (Index i = 0; i < n; ++i) {
    const bool valid = (tokens[i] >= 0 && tokens[i] < vocab) || (may_ignore && tokens[i] == kIgnoreTarget);
    LOGLOG_CHECK(valid, "token {} at row {} is outside 0..{}", tokens[i], i, vocab - 1);
  }
}

inline void check_shape(const char* name, const ConstFloatMatrix& x, Index rows, Index cols) {
  check_shape(name, x.as<std::byte>(), rows, cols);
}
inline void check_shape(const char* name, const FloatMatrix& x, Index rows, Index cols) {
  check_shape(name, x.as<std::byte>(), rows, cols);
}

template <class T>
ConstMatrix<T> rows_of(ConstMatrix<T> x, Index first, Index count) {
  return {x.row(first), count, x.cols, x.row_stride};
}
template <class T>
Matrix<T> rows_of(Matrix<T> x, Index first, Index count) {
  return {x.row(first), count, x.cols, x.row_stride};
}

// Streamed stores save reading a line before it is overwritten, a third of a copy's traffic, but leave nothing in the
// caches for who reads the result. So they are for results that the caches could not hold, and that are written where
// no input (`others`: their data) was just read. Measured shares are in docs/kernels.md, "At memory speed".
template <std::convertible_to<const void*>... Others>
Stores stores_for(const FloatMatrix& out, Others... others) {
  const bool in_place = ((out.data == static_cast<const void*>(others)) || ...);
  const bool large = out.rows * out.cols * static_cast<Index>(bytes_of(out.type)) >= kStreamBytes;
  return large && !in_place ? Stores::streamed : Stores::cached;
}

// A row for each thread, of whole cache lines, where what is streamed waits for a sum.
class WaitingRows {
 public:
  WaitingRows(ExecContext& ctx, Stores stores, Index cols) : frame_(ctx.scratch), cols_(padded(cols)) {
    check_threads(ctx.threads);
    if (stores == Stores::streamed)
      first_ = frame_.take<float>(static_cast<std::size_t>(ctx.threads * cols_));
  }
  float* of(int thread) const { return first_ == nullptr ? nullptr : first_ + thread * cols_; }
  static constexpr Index padded(Index cols) { return round_up(cols, kCacheLineBytes / sizeof(float)); }

 private:
  ScratchFrame frame_;
  Index cols_;
  float* first_ = nullptr;
};

// run(first, count[, thread]) on pieces of 0..n, `size` elements each, that no sum crosses: the cut may follow ctx.threads.
template <class Run>
void for_pieces(const ExecContext& ctx, Index n, Index size, Run&& run) {
  check_threads(ctx.threads);
  if (n == 0) return;
  const Index wanted = std::clamp<Index>(n * std::max<Index>(size, 1) / kMinimumElements, 1, 4 * ctx.threads);
  const Index step = ceil_div(n, ctx.threads == 1 ? 1 : std::min(wanted, n));
  parallel_tasks(ctx.threads, ceil_div(n, step), [&](Index i, int thread) {
    const Index first = i * step, count = std::min(step, n - first);
    if constexpr (std::invocable<Run, Index, Index, int>) {
      run(first, count, thread);
    } else {
      run(first, count);
    }
  });
}

// out (C) += sum over rows, for one or more sums at once: run(partial, first, count, thread) adds rows
// first..first+count to partial (sums), chunk by chunk; then chunks are added in ascending order.
template <class Run>
void sum_over_rows(ExecContext& ctx, Index rows, Index cols, Index sums, Run&& run, float* const* outs) {
  check_threads(ctx.threads);
  const Index chunks = ceil_div(rows, kSumRows);
  ScratchFrame frame(ctx.scratch);
  float* const partial = frame.take<float>(static_cast<std::size_t>(chunks * sums * cols));
  const int threads = rows * cols < 2 * kMinimumElements ? 1 : ctx.threads;
  parallel_tasks(threads, chunks, [&](Index i, int thread) {
    float* const mine = partial + i * sums * cols;
    std::fill_n(mine, sums * cols, 0.0f);
    run(mine, i * kSumRows, std::min(kSumRows, rows - i * kSumRows), thread);
  });
  for (Index i = 0; i < chunks; ++i) {
    for (Index s = 0; s < sums; ++s) {
      const float* const mine = partial + (i * sums + s) * cols;
      if (outs[s] == nullptr) continue;
      for (Index j = 0; j < cols; ++j) outs[s][j] += mine[j];
    }
  }
}

}  // namespace loglog::kernels
