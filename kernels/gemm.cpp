#include "kernels/gemm.hpp"

#include <algorithm>

#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_grid.hpp"
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

struct Problem {
  const GemmF32& kernel;
  ConstMatrixRef a, b;
  MatrixRef c;
  bool accumulate;
  GemmEpilogue epilogue;
};

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
    pack_panels(a_packed, LinesView<float>{a, p.a.row_stride, p.a.col_stride}, block.rows, kernel.mr,
                block.depth);
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
  const bool ends = block.depth_first + block.depth == p.a.cols && !p.epilogue.empty();
  for (Index j = 0; j < block.cols; j += kernel.nr) {
    strip.n = static_cast<int>(std::min<Index>(kernel.nr, block.cols - j));
    strip.c = p.c.row(block.row) + block.col + j;
    const bool in_place = !pack_b && strip.n == kernel.nr;
    strip.b = in_place ? p.b.row(block.depth_first) + block.col + j : b_packed + j * block.depth;
    strip.b_step = in_place ? p.b.row_stride : kernel.nr;
    kernel.strip(strip);
    if (ends) apply_epilogue(p.kernel, p.epilogue, p.c, block.row, block.rows, block.col + j, strip.n);
  }
}

// Packs the columns of this block of B; of a B that is read in place only the last, narrow strip, which the
// kernel would read beyond.
void prepare_b(const Problem& p, const Block& block, bool pack_b, float* b_packed) {
  const Index nr = p.kernel.nr;
  const Index first = pack_b ? 0 : block.cols / nr * nr;
  const float* b = p.b.data + block.depth_first * p.b.row_stride + (block.col + first) * p.b.col_stride;
  pack_panels(b_packed + first * block.depth, LinesView<float>{b, p.b.col_stride, p.b.row_stride},
              block.cols - first, nr, block.depth);
}

void run_job(const Problem& p, const GemmJob& job, float* a_packed, float* b_packed) {
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

// K == 0: a sum of nothing.
void write_empty_sum(const Problem& p) {
  if (!p.accumulate) {
    for (Index i = 0; i < p.c.rows; ++i) std::fill_n(p.c.row(i), p.c.cols, 0.0f);
  }
  if (!p.epilogue.empty()) apply_epilogue(p.kernel, p.epilogue, p.c, 0, p.c.rows, 0, p.c.cols);
}

}  // namespace

void gemm(ExecContext& ctx, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c, Accumulate accumulate,
          const GemmEpilogue& epilogue) {
  check_gemm(ctx.threads, a.rows, a.cols, b.rows, b.cols, c, accumulate, epilogue);
  Problem problem = {*ctx.kernels.gemm_f32, a, b, c, accumulate == Accumulate::yes, epilogue};
  if (take_residual_from_c(problem.epilogue, c)) problem.accumulate = true;
  if (c.rows == 0 || c.cols == 0) return;
  if (a.cols == 0) return write_empty_sum(problem);

  const GemmGrid grid =
      choose_gemm_grid(problem.kernel.mr, problem.kernel.nr, ctx.threads, c.rows, c.cols, a.cols);
  const int threads = static_cast<int>(std::min<Index>(ctx.threads, grid.jobs()));
  const PackedSizes sizes = packed_sizes(problem.kernel, c.rows, c.cols, a.cols);
  const Index a_floats = static_cast<Index>(packed_bytes(sizes.a) / sizeof(float));
  const Index thread_floats = a_floats + static_cast<Index>(packed_bytes(sizes.b) / sizeof(float));
  ScratchFrame frame(ctx.scratch);
  float* const packed = frame.take<float>(static_cast<std::size_t>(thread_floats * threads));

  parallel_tasks(threads, grid.jobs(), [&](Index index, int thread) {
    float* const mine = packed + thread * thread_floats;
    run_job(problem, grid.job(index), mine, mine + a_floats);
  });
}

std::size_t gemm_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k) noexcept {
  const PackedSizes sizes = packed_sizes(*table.gemm_f32, m, n, k);
  return static_cast<std::size_t>(threads) * (packed_bytes(sizes.a) + packed_bytes(sizes.b));
}

}  // namespace loglog::kernels
