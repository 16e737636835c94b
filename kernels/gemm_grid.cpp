#include "kernels/gemm_grid.hpp"

namespace loglog::kernels {

GemmGrid choose_gemm_grid(Index mr, Index nr, int threads, Index m, Index n, Index k) {
  constexpr Index kMinimumJob = Index{1} << 18;
  constexpr Index kJobsPerThread = 4;
  const Index wanted =
      threads == 1 ? 1 : std::clamp<Index>(m * n * k / kMinimumJob, 1, kJobsPerThread * threads);
  const Index row_limit = ceil_div(m, mr);
  const Index col_limit = ceil_div(n, nr);
  Index best_rows = 1, best_cols = 1, best_cost = -1;
  for (Index rows = 1; rows <= std::min(wanted, row_limit); ++rows) {
    const Index cols = std::min(ceil_div(wanted, rows), col_limit);
    if (cols * rows < wanted && rows < std::min(wanted, row_limit)) continue;
    const Index cost = rows * n + cols * m;
    if (best_cost < 0 || cost < best_cost) best_rows = rows, best_cols = cols, best_cost = cost;
  }
  const Index row_step = round_up(ceil_div(m, best_rows), mr);
  const Index col_step = round_up(ceil_div(n, best_cols), nr);
  return {m, n, row_step, col_step, ceil_div(m, row_step), ceil_div(n, col_step)};
}

}  // namespace loglog::kernels
