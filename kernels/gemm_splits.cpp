#include "kernels/gemm_splits.hpp"

#include <algorithm>

#include "kernels/gemm_epilogue.hpp"
#include "kernels/parallel.hpp"

namespace loglog::kernels {
namespace {

constexpr Index kSplitDepth = 2048, kMostSplits = 8;
constexpr Index kLeastSplitWork = Index{1} << 20;  // multiply-adds
constexpr Index kMostSplitC = Index{1} << 20;      // elements

}  // namespace

Index gemm_splits(LeftFactor left, Index m, Index n, Index k) noexcept {
  if (left != LeftFactor::transposed || m * n > kMostSplitC) return 1;
  return std::clamp<Index>(std::min(k / kSplitDepth, m * n * k / kLeastSplitWork), 1, kMostSplits);
}

void add_splits(ExecContext& ctx, MatrixRef c, Accumulate accumulate, const float* sums, Index splits,
                EpilogueTile tile, const GemmEpilogue& epilogue) {
  const Index rows_at_once = ceil_div(c.rows, ctx.threads);
  parallel_tasks(ctx.threads, ceil_div(c.rows, rows_at_once), [&](Index task, int) {
    const Index row = task * rows_at_once, rows = std::min(rows_at_once, c.rows - row);
    const MatrixRef here(c.row(row), rows, c.cols, c.row_stride);
    const auto part = [&](Index split) {
      return ConstMatrixRef(sums + (split * c.rows + row) * c.cols, rows, c.cols);
    };
    Index split = 0;
    if (accumulate == Accumulate::no)
      ctx.kernels.rowwise->add(here, part(0), part(1), Stores::cached), split = 2;
    for (; split < splits; ++split) ctx.kernels.rowwise->add(here, here, part(split), Stores::cached);
    if (!epilogue.empty()) apply_epilogue(tile, epilogue, c, row, rows, 0, c.cols);
  });
}

}  // namespace loglog::kernels
