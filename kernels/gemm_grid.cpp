#include "kernels/gemm_grid.hpp"

namespace loglog::kernels {
namespace {

constexpr Index kMinimumJob = Index{1} << 18;

// More would even out threads of unequal speed better; but each packs operands of its own, and with 4 training shapes take 1.04
// times as long (two threads, geometric mean), weight gradients of width 512 1.15.
constexpr Index kJobsPerThread = 2;

}  // namespace

GemmGrid choose_gemm_grid(Index mr, Index nr, int threads, Index m, Index n, Index k) {
  const Index wanted =
      threads == 1 ? 1 : std::clamp<Index>(m * n * k / kMinimumJob, 1, kJobsPerThread * threads);
  const Index row_limit = ceil_div(m, mr);
  const Index col_limit = ceil_div(n, nr);
  Index best_rows = 1, best_cols = 1, best_cost = -1;
  for (Index rows = 1; rows <= std::min(wanted, row_limit); ++rows) {
    const Index cols = std::min(ceil_div(wanted, rows), col_limit);
    if (cols * rows < wanted && rows < std::min(wanted, row_limit)) continue;
    const Index cost = rows * n + cols * m;
    if (best_cost < 0 || cost <= best_cost) best_rows = rows, best_cols = cols, best_cost = cost;
  }
  const Index row_step = round_up(ceil_div(m, best_rows), mr);
  const Index col_step = round_up(ceil_div(n, best_cols), nr);
  return {m, n, row_step, col_step, ceil_div(m, row_step), ceil_div(n, col_step)};
}

GemmTasks choose_gemm_tasks(Index mr, Index nr, int threads, Index count, Index m, Index n, Index k) {
  const Index worth = std::clamp<Index>(count * m * n * k / kMinimumJob, 1, threads);
  int threads_per_product = static_cast<int>(ceil_div(worth, count));
  // A few products that the threads cannot share evenly are cut although there are enough of them.
  if (threads_per_product == 1 && count % worth != 0 && count < kJobsPerThread * worth)
    threads_per_product = 2;
  const GemmGrid grid = choose_gemm_grid(mr, nr, threads_per_product, m, n, k);
  const Index jobs = count * grid.jobs();
  return {grid, jobs, static_cast<int>(std::min(worth, jobs))};
}

}  // namespace loglog::kernels
