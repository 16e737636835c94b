#include "kernels/gemm.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "kernels/pack.hpp"
#include "kernels/parallel.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Cache blocks, in elements. kKc fixes the order of summation, so it depends on nothing. A strip of B (kKc x
// nr) stays in L1, a block of A (kMc x kKc, 144 KiB) in half of a 256-KiB L2, a panel of B (kKc x kNc, 2 MiB) in L3.
constexpr Index kKc = 256;
constexpr Index kMc = 144;
constexpr Index kNc = 2048;

// Below this many columns, A is read in place: each packed element would be used too seldom to pay for its copy.
constexpr Index kPackAFromColumns = 192;
// From this many row tiles on B is packed: the same consideration.
constexpr Index kPackBFromTiles = 3;

// A thread must have this many multiply-adds to do (about 10 us) before a parallel region pays for itself.
constexpr Index kMinimumJob = Index{1} << 18;
// More jobs than threads, so that a slow core or a busy one does not hold up the others.
constexpr Index kJobsPerThread = 4;

struct Problem {
  const GemmF32& kernel;
  ConstMatrixRef a, b;
  MatrixRef c;
  bool accumulate;
  GemmEpilogue epilogue;
};

// A rectangle of C that one thread computes over all of K, with packed operands of its own: no barriers.
struct Job {
  Index row, rows, col, cols;
};

struct Grid {
  Index row_step = 0, col_step = 0;
  Index row_jobs = 0, col_jobs = 0;
};

constexpr Index round_up(Index a, Index b) {
  return ceil_div(a, b) * b;
}

// Cuts C into about kJobsPerThread jobs per thread. Of all such cuts the one that packs least: every row of
// jobs packs B again, every column of jobs A. No bit depends on the cut, since K is never cut.
Grid choose_grid(const GemmF32& kernel, int threads, Index m, Index n, Index k) {
  const Index wanted =
      threads == 1 ? 1 : std::clamp<Index>(m * n * k / kMinimumJob, 1, kJobsPerThread * threads);
  const Index row_limit = ceil_div(m, kernel.mr);
  const Index col_limit = ceil_div(n, kernel.nr);
  Index best_rows = 1, best_cols = 1, best_cost = -1;
  for (Index rows = 1; rows <= std::min(wanted, row_limit); ++rows) {
    const Index cols = std::min(ceil_div(wanted, rows), col_limit);
    if (cols * rows < wanted && rows < std::min(wanted, row_limit)) continue;
    const Index cost = rows * n + cols * m;
    if (best_cost < 0 || cost < best_cost) best_rows = rows, best_cols = cols, best_cost = cost;
  }
  Grid grid;
  grid.row_step = round_up(ceil_div(m, best_rows), kernel.mr);
  grid.col_step = round_up(ceil_div(n, best_cols), kernel.nr);
  grid.row_jobs = ceil_div(m, grid.row_step);
  grid.col_jobs = ceil_div(n, grid.col_step);
  return grid;
}

// On the rows x cols of C that were just finished and are still in L1.
void apply_epilogue(const Problem& p, Index row, Index rows, Index col, Index cols) {
  const GemmEpilogue& e = p.epilogue;
  GemmFinish finish = {};
  finish.m = rows;
  finish.n = cols;
  finish.c = p.c.row(row) + col;
  finish.c_row = p.c.row_stride;
  if (e.bias != nullptr) finish.bias = e.bias + col;
  if (e.pre_activation.data != nullptr) {
    finish.pre_activation = e.pre_activation.row(row) + col;
    finish.pre_activation_row = e.pre_activation.row_stride;
  }
  finish.gelu = e.gelu;
  if (e.residual.data != nullptr) {
    finish.residual = e.residual.row(row) + col;
    finish.residual_row = e.residual.row_stride;
  }
  p.kernel.finish(finish);
}

bool has_epilogue(const GemmEpilogue& e) {
  return e.bias != nullptr || e.pre_activation.data != nullptr || e.gelu || e.residual.data != nullptr;
}

// The blocks of one job at one step of the loops below.
struct Block {
  Index row, rows, col, cols, depth_first, depth;
};

// C[block] (+)= A[block] * B[block]; b_packed and a_packed are scratch, b_packed already holds the block of B
// unless B is read in place.
void multiply_block(const Problem& p, const Block& block, bool pack_a, bool pack_b, float* a_packed,
                    const float* b_packed) {
  const GemmF32& kernel = p.kernel;
  GemmStrip strip;
  strip.m = block.rows;
  strip.k = block.depth;
  strip.c_row = p.c.row_stride;
  strip.add = p.accumulate || block.depth_first > 0;
  const float* a = p.a.data + block.row * p.a.row_stride + block.depth_first * p.a.col_stride;
  if (pack_a) {
    pack_panels(a_packed, {a, p.a.row_stride, p.a.col_stride}, block.rows, kernel.mr, block.depth);
    strip.a = a_packed;
    strip.a_row = 1;
    strip.a_step = kernel.mr;
    strip.a_tile = kernel.mr * block.depth;
  } else {
    strip.a = a;
    strip.a_row = p.a.row_stride;
    strip.a_step = p.a.col_stride;
    strip.a_tile = kernel.mr * p.a.row_stride;
  }
  const bool finished = block.depth_first + block.depth == p.a.cols && has_epilogue(p.epilogue);
  for (Index j = 0; j < block.cols; j += kernel.nr) {
    strip.n = static_cast<int>(std::min<Index>(kernel.nr, block.cols - j));
    strip.c = p.c.row(block.row) + block.col + j;
    const bool in_place = !pack_b && strip.n == kernel.nr;
    strip.b = in_place ? p.b.row(block.depth_first) + block.col + j : b_packed + j * block.depth;
    strip.b_step = in_place ? p.b.row_stride : kernel.nr;
    kernel.strip(strip);
    if (finished) apply_epilogue(p, block.row, block.rows, block.col + j, strip.n);
  }
}

// Packs the columns of this block of B; of a B that is read in place only the last, narrow strip, which the
// kernel would read beyond.
void prepare_b(const Problem& p, const Block& block, bool pack_b, float* b_packed) {
  const Index nr = p.kernel.nr;
  const Index first = pack_b ? 0 : block.cols / nr * nr;
  const float* b = p.b.data + block.depth_first * p.b.row_stride + (block.col + first) * p.b.col_stride;
  pack_panels(b_packed + first * block.depth, {b, p.b.col_stride, p.b.row_stride}, block.cols - first, nr,
              block.depth);
}

void run_job(const Problem& p, const Job& job, float* a_packed, float* b_packed) {
  const GemmF32& kernel = p.kernel;
  const bool pack_a = job.cols >= kPackAFromColumns;
  const bool pack_b = p.b.col_stride != 1 || ceil_div(job.rows, kernel.mr) >= kPackBFromTiles;
  const Index mc = round_up(kMc, kernel.mr);
  for (Index col = 0; col < job.cols; col += kNc) {
    for (Index first = 0; first < p.a.cols; first += kKc) {
      Block block;
      block.col = job.col + col;
      block.cols = std::min(kNc, job.cols - col);
      block.depth_first = first;
      block.depth = std::min(kKc, p.a.cols - first);
      prepare_b(p, block, pack_b, b_packed);
      for (Index row = 0; row < job.rows; row += mc) {
        block.row = job.row + row;
        block.rows = std::min(mc, job.rows - row);
        multiply_block(p, block, pack_a, pack_b, a_packed, b_packed);
      }
    }
  }
}

// Floats of packed A and of packed B that one thread needs.
struct PackedSizes {
  Index a, b;
};
PackedSizes packed_sizes(const GemmF32& kernel, Index m, Index n, Index k) {
  const Index depth = std::min(k, kKc);
  return {depth * std::min(round_up(kMc, kernel.mr), round_up(m, kernel.mr)),
          depth * round_up(std::min(n, kNc), kernel.nr)};
}

std::size_t packed_bytes(Index floats) {
  return round_up_to_cache_line(static_cast<std::size_t>(floats) * sizeof(float));
}

void check(int threads, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c, Accumulate accumulate,
           const GemmEpilogue& e) {
  LOGLOG_CHECK(a.cols == b.rows && c.rows == a.rows && c.cols == b.cols, "a is {}x{}, b is {}x{}, c is {}x{}",
               a.rows, a.cols, b.rows, b.cols, c.rows, c.cols);
  LOGLOG_CHECK(threads >= 1, "threads is {}", threads);
  LOGLOG_CHECK(accumulate == Accumulate::no || !has_epilogue(e), "an epilogue cannot be accumulated");
  if (e.pre_activation.data != nullptr) {
    LOGLOG_CHECK(e.pre_activation.rows == c.rows && e.pre_activation.cols == c.cols,
                 "pre_activation is {}x{}, c is {}x{}", e.pre_activation.rows, e.pre_activation.cols, c.rows,
                 c.cols);
    const bool is_empty = c.rows == 0 || c.cols == 0;  // matrices without elements may start at one address
    LOGLOG_CHECK(is_empty || (e.pre_activation.data != c.data && e.pre_activation.data != e.residual.data),
                 "pre_activation is c or the residual, {}x{}", c.rows, c.cols);
  }
  if (e.residual.data != nullptr) {
    LOGLOG_CHECK(e.residual.rows == c.rows && e.residual.cols == c.cols && e.residual.col_stride == 1,
                 "residual is {}x{}, c is {}x{}", e.residual.rows, e.residual.cols, c.rows, c.cols);
    const bool is_c = e.residual.data == c.data;
    LOGLOG_CHECK(!is_c || (!e.gelu && e.pre_activation.data == nullptr),
                 "c can be its own residual only without GELU and pre_activation");
    LOGLOG_CHECK(!is_c || e.residual.row_stride == c.row_stride || c.rows <= 1,
                 "the residual starts where c does, with row stride {}, but c's is {}", e.residual.row_stride,
                 c.row_stride);
  }
}

// K == 0: a sum of nothing.
void finish_empty_sum(const Problem& p) {
  if (!p.accumulate) {
    for (Index i = 0; i < p.c.rows; ++i) std::fill_n(p.c.row(i), p.c.cols, 0.0f);
  }
  if (has_epilogue(p.epilogue)) apply_epilogue(p, 0, p.c.rows, 0, p.c.cols);
}

}  // namespace

void gemm(ExecContext& ctx, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c, Accumulate accumulate,
          const GemmEpilogue& epilogue) {
  check(ctx.threads, a, b, c, accumulate, epilogue);
  Problem problem = {*ctx.kernels.gemm_f32, a, b, c, accumulate == Accumulate::yes, epilogue};
  if (epilogue.residual.data != nullptr && epilogue.residual.data == c.data) {
    problem.accumulate = true;  // C is its own residual: it would be overwritten before the epilogue reads it
    problem.epilogue.residual = {};
  }
  if (c.rows == 0 || c.cols == 0) return;
  if (a.cols == 0) return finish_empty_sum(problem);

  const Grid grid = choose_grid(problem.kernel, ctx.threads, c.rows, c.cols, a.cols);
  const Index jobs = grid.row_jobs * grid.col_jobs;
  const int threads = static_cast<int>(std::min<Index>(ctx.threads, jobs));
  const PackedSizes sizes = packed_sizes(problem.kernel, c.rows, c.cols, a.cols);
  const Index a_floats = static_cast<Index>(packed_bytes(sizes.a) / sizeof(float));
  const Index thread_floats = a_floats + static_cast<Index>(packed_bytes(sizes.b) / sizeof(float));
  ScratchFrame frame(ctx.scratch);
  float* const packed = frame.take<float>(static_cast<std::size_t>(thread_floats * threads));

  parallel_tasks(threads, jobs, [&](Index index, int thread) {
    const Index row = index % grid.row_jobs * grid.row_step;
    const Index col = index / grid.row_jobs * grid.col_step;
    const Job job = {row, std::min(grid.row_step, c.rows - row), col, std::min(grid.col_step, c.cols - col)};
    float* const mine = packed + thread * thread_floats;
    run_job(problem, job, mine, mine + a_floats);
  });
}

std::size_t gemm_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k) noexcept {
  const PackedSizes sizes = packed_sizes(*table.gemm_f32, m, n, k);
  return static_cast<std::size_t>(threads) * (packed_bytes(sizes.a) + packed_bytes(sizes.b));
}

}  // namespace loglog::kernels
