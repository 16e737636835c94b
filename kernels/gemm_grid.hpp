// How a product is cut into jobs that one thread each computes over all of the K that it is given.
#pragma once
#include <algorithm>

#include "kernels/matrix.hpp"

namespace loglog::kernels {

// A rectangle of C.
struct GemmJob {
  Index row, rows, col, cols;
};

struct GemmGrid {
  Index m, n;
  Index row_step, col_step;
  Index row_jobs, col_jobs;

  Index jobs() const { return row_jobs * col_jobs; }
  GemmJob job(Index index) const {
    const Index row = index / col_jobs * row_step, col = index % col_jobs * col_step;
    return {row, std::min(row_step, m - row), col, std::min(col_step, n - col)};
  }
};

// Two jobs per thread, so that a slow core or a busy one does not hold up the others, each of 2^18 multiply-adds
// (about 10 us) or more, before which a parallel region does not pay for itself. Of all such cuts the one that packs
// least: every row of jobs packs B again, every column of jobs A. No bit depends on the cut, since it never cuts K.
GemmGrid choose_gemm_grid(Index mr, Index nr, int threads, Index m, Index n, Index k);

// `count` products of one shape: the jobs of the first, then those of the second, and so on. Products are not cut while
// there are enough of them for every thread to have the same number, or two and more.
struct GemmTasks {
  GemmGrid grid;  // of one product
  Index count;    // of jobs altogether
  int team;       // threads that get work

  Index product(Index task) const { return task / grid.jobs(); }
  GemmJob job(Index task) const { return grid.job(task % grid.jobs()); }
};
GemmTasks choose_gemm_tasks(Index mr, Index nr, int threads, Index count, Index m, Index n, Index k);

}  // namespace loglog::kernels
