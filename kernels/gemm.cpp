#include "kernels/gemm.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_grid.hpp"
#include "kernels/pack.hpp"
#include "kernels/packed_matrix.hpp"
#include "kernels/parallel.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

// Cache blocks, in elements. kKc fixes the order of summation, so it depends on nothing. A strip of B (kKc x
// nr) stays in L1, a block of A (kMc x kKc, 144 KiB) in half of a 256-KiB L2, a panel of B (kKc x kNc, 2 MiB) in L3.
constexpr Index kKc = 256;
constexpr Index kMc = 144;
constexpr Index kNc = 2048;

// Below this many columns, A is read in place: each packed element would be used too seldom to pay for its copy. A is packed
// earlier where its rows lie whole pages apart: those of a tile would share one set of L1 (4096 x 256 x 1024, two threads: 160 ->
// 196 GFLOP/s); or where it is transposed (in a weight gradient), so that each step touches another line, still earlier where that
// is 2 KiB away (512 x 128 x 4096 1.1, 768 x 192 x 4096 1.2 times as fast).
constexpr Index kPackAFromColumns = 384, kPackScatteredAFromColumns = 192, kPackFarAFromColumns = 96;
constexpr Index kPage = 1024, kFar = 512;  // in floats
// From this many row tiles on B is packed: the same consideration; where its rows are short, so that a block of them touches
// few pages, from this many rows on.
constexpr Index kPackBFromTiles = 3;
constexpr Index kPackShortBFromRows = 256;
// Elements between rows that count as short.
constexpr Index kShortRow = 1024;

// Where A is transposed, as in gradients of weights, a small C leaves threads little to share but K. It is split by shape alone, each
// split with sums of its own, so that threads read different parts of A and B. Two threads, avx512: 96 x 288 x 4096 1.6, 320 x 80 x
// 4096 1.2 times as fast.
constexpr Index kSplitDepth = 2048, kMostSplits = 8;
constexpr Index kLeastSplitWork = Index{1} << 20;  // multiply-adds
constexpr Index kMostSplitC = Index{1} << 20;      // elements

// Up to here a job walks B column by column with all of K inside, so that packed weights are read as one stream: what
// these few rows need of A and C stays in L1.
constexpr Index kFewRows = 16;

// Where A is transposed and C has at least kTall rows per column, C^T = B^T A^T is computed, with the same bits: a transposed A costs
// more than a B, more so the taller it is. With so much K that the two transposes of C count little (1024 steps 0.83 to 1.06 times as
// fast, 4096 steps avx2 0.93 to 1.06, avx512 0.98 to 1.38), or where C^T has few rows (1.2 to 8).
constexpr Index kTall = 2, kTallDepth = 2048, kTallFewDepth = 256;

struct Problem {
  const GemmF32& kernel;
  ConstMatrixRef a, b;
  const float* b_panels;  // a PackedMatrix in place of b, else null
  MatrixRef c;
  bool accumulate;
  GemmEpilogue epilogue;
  Index first = 0, end = a.cols;  // of K

  // The one so many products behind this.
  Problem in_batch(const GemmBatch& batch, Index product) const {
    Problem other = *this;
    other.a.data += product * batch.a_step;
    other.b.data += product * batch.b_step;
    other.c.data += product * batch.c_step;
    return other;
  }
};

// What one step of the loops below multiplies.
struct Part {
  Index row, rows, col, cols, depth_first, depth;
};

// Where a job finds its operands.
enum class Source { in_place, scratch, panels };

struct Operands {
  Source a, b;      // a is never in panels
  float* a_packed;  // scratch
  float* b_packed;  // the same; holds the block of B already, of a B in place only its last, narrow strip
};

// The columns of B from part.col + j on.
void set_b(GemmStrip& strip, const Problem& p, const Operands& from, const Part& part, Index j) {
  const Index nr = p.kernel.nr;
  strip.n = static_cast<int>(std::min(nr, part.cols - j));
  strip.b_step = nr;
  if (from.b == Source::panels) {
    strip.b = p.b_panels + (part.col + j) * p.a.cols + part.depth_first * nr;
  } else if (from.b == Source::in_place && strip.n == nr) {
    strip.b = p.b.row(part.depth_first) + part.col + j;
    strip.b_step = p.b.row_stride;
  } else {
    strip.b = from.b_packed + j * part.depth;
  }
}

// C[part] (+)= A[part] * B[part].
void multiply_part(const Problem& p, const Part& part, const Operands& from) {
  const GemmF32& kernel = p.kernel;
  GemmStrip strip;
  strip.m = part.rows;
  strip.k = part.depth;
  strip.c_row = p.c.row_stride;
  strip.add = p.accumulate || part.depth_first > p.first;
  const float* a = p.a.data + part.row * p.a.row_stride + part.depth_first * p.a.col_stride;
  if (from.a == Source::scratch) {
    pack_panels(from.a_packed, LinesView<float>{a, p.a.row_stride, p.a.col_stride}, part.rows, kernel.mr,
                part.depth);
    strip.a = from.a_packed;
    strip.a_row = 1;
    strip.a_step = kernel.mr;
    strip.a_tile = kernel.mr * part.depth;
  } else {
    strip.a = a;
    strip.a_row = p.a.row_stride;
    strip.a_step = p.a.col_stride;
    strip.a_tile = kernel.mr * p.a.row_stride;
  }
  const bool ends = part.depth_first + part.depth == p.end && !p.epilogue.empty();
  for (Index j = 0; j < part.cols; j += kernel.nr) {
    set_b(strip, p, from, part, j);
    strip.c = p.c.row(part.row) + part.col + j;
    kernel.strip(strip);
    if (ends) apply_epilogue(p.kernel, p.epilogue, p.c, part.row, part.rows, part.col + j, strip.n);
  }
}

// Packs what set_b will look for in scratch.
void prepare_b(const Problem& p, const Part& part, const Operands& to) {
  if (to.b == Source::panels) return;
  const Index nr = p.kernel.nr;
  const Index first = to.b == Source::scratch ? 0 : part.cols / nr * nr;
  const float* b = p.b.data + part.depth_first * p.b.row_stride + (part.col + first) * p.b.col_stride;
  pack_panels(to.b_packed + first * part.depth, LinesView<float>{b, p.b.col_stride, p.b.row_stride},
              part.cols - first, nr, part.depth);
}

bool is_transposed(const ConstMatrixRef& a) {
  return a.row_stride == 1 && a.col_stride != 1;
}

Index pack_a_from_columns(const ConstMatrixRef& a) {
  if (is_transposed(a)) return a.col_stride >= kFar ? kPackFarAFromColumns : kPackScatteredAFromColumns;
  return a.row_stride % kPage == 0 ? kPackScatteredAFromColumns : kPackAFromColumns;
}

// Columns for which the tile made for an A in place needs fewer strips than the usual one; else it is slower.
bool suits_in_place(const KernelTable& table, Index columns) {
  return ceil_div(columns, table.gemm_f32_in_place->nr) < ceil_div(columns, table.gemm_f32->nr);
}

// Where B is plain and no job packs A, the tile made for that: avx512, one thread, K = 64 1.05 to 1.2, K = 256 1.0 to 1.1 times as
// fast. Not for a transposed A (0.88 to 1.06).
const GemmF32& choose_tile(const KernelTable& table, const ConstMatrixRef& a, Index columns) {
  const bool stays = columns < pack_a_from_columns(a) && a.rows > kFewRows && !is_transposed(a);
  return stays && suits_in_place(table, columns) ? *table.gemm_f32_in_place : *table.gemm_f32;
}

Operands choose_operands(const Problem& p, const GemmJob& job, float* a_packed, float* b_packed) {
  Operands from = {Source::in_place, Source::in_place, a_packed, b_packed};
  const Index pack_a_from = pack_a_from_columns(p.a);
  if (job.cols >= pack_a_from && job.rows > kFewRows) from.a = Source::scratch;
  const Index pack_b_from =
      p.b.row_stride < kShortRow ? kPackShortBFromRows : (kPackBFromTiles - 1) * p.kernel.mr + 1;
  if (p.b_panels != nullptr) {
    from.b = Source::panels;
  } else if (p.b.col_stride != 1 || job.rows >= pack_b_from) {
    from.b = Source::scratch;
  }
  return from;
}

void run_job(const Problem& p, const GemmJob& job, float* a_packed, float* b_packed) {
  const Operands from = choose_operands(p, job, a_packed, b_packed);
  const Index mc = round_up(kMc, p.kernel.mr);
  const Index nr = p.kernel.nr;
  const Index nc = from.b == Source::panels && job.rows <= kFewRows ? nr : kNc / nr * nr;
  for (Index col = 0; col < job.cols; col += nc) {
    for (Index first = p.first; first < p.end; first += kKc) {
      Part part;
      part.col = job.col + col;
      part.cols = std::min(nc, job.cols - col);
      part.depth_first = first;
      part.depth = std::min(kKc, p.end - first);
      prepare_b(p, part, from);
      for (Index row = 0; row < job.rows; row += mc) {
        part.row = job.row + row;
        part.rows = std::min(mc, job.rows - row);
        multiply_part(p, part, from);
      }
    }
  }
}

// Floats of packed A and of packed B that one thread needs, in whole cache lines.
struct ThreadFloats {
  Index a, b;
  Index all() const { return a + b; }
};
ThreadFloats thread_floats(const GemmF32& kernel, Index m, Index n, Index k, Weights b) {
  constexpr Index kLine = 64 / sizeof(float);
  const Index depth = std::min(k, kKc);
  const Index a_floats =
      m > kFewRows ? depth * std::min(round_up(kMc, kernel.mr), round_up(m, kernel.mr)) : 0;
  const Index b_floats = b == Weights::plain ? depth * round_up(std::min(n, kNc), kernel.nr) : 0;
  return {round_up(a_floats, kLine), round_up(b_floats, kLine)};
}

// K == 0: a sum of nothing.
void write_empty_sum(const Problem& p) {
  if (!p.accumulate) {
    for (Index i = 0; i < p.c.rows; ++i) std::fill_n(p.c.row(i), p.c.cols, 0.0f);
  }
  if (!p.epilogue.empty()) apply_epilogue(p.kernel, p.epilogue, p.c, 0, p.c.rows, 0, p.c.cols);
}

// Parts of K that are summed apart: a question of shape alone.
Index splits_of(LeftFactor left, Index m, Index n, Index k) {
  if (left != LeftFactor::transposed || m * n > kMostSplitC) return 1;
  return std::clamp<Index>(std::min(k / kSplitDepth, m * n * k / kLeastSplitWork), 1, kMostSplits);
}

// The sums of all splits but the first lie in scratch until C takes them, in ascending order.
void multiply_splits(ExecContext& ctx, const Problem& problem, Index splits) {
  const MatrixRef c = problem.c;
  const Index depth = problem.a.cols, blocks = ceil_div(depth, kKc);
  const GemmTasks tasks = choose_gemm_tasks(problem.kernel.mr, problem.kernel.nr, ctx.threads, splits, c.rows,
                                            c.cols, depth / splits);
  const Weights weights = problem.b_panels == nullptr ? Weights::plain : Weights::packed;
  const ThreadFloats floats = thread_floats(problem.kernel, c.rows, c.cols, depth, weights);
  ScratchFrame frame(ctx.scratch);
  float* const packed = frame.take<float>(static_cast<std::size_t>(floats.all() * tasks.team));
  float* const sums = frame.take<float>(static_cast<std::size_t>((splits - 1) * c.rows * c.cols));
  const auto sums_of = [&](Index split) {
    return MatrixRef(sums + (split - 1) * c.rows * c.cols, c.rows, c.cols);
  };
  parallel_tasks(tasks.team, tasks.count, [&](Index task, int thread) {
    const Index split = tasks.product(task);
    Problem part = problem;
    part.epilogue = {};
    part.first = split * blocks / splits * kKc;
    part.end = std::min(depth, (split + 1) * blocks / splits * kKc);
    if (split > 0) {
      part.c = sums_of(split);
      part.accumulate = false;
    }
    float* const mine = packed + thread * floats.all();
    run_job(part, tasks.job(task), mine, mine + floats.a);
  });
  const Index rows_at_once = round_up(ceil_div(c.rows, ctx.threads), problem.kernel.mr);
  parallel_tasks(ctx.threads, ceil_div(c.rows, rows_at_once), [&](Index task, int) {
    const Index row = task * rows_at_once, rows = std::min(rows_at_once, c.rows - row);
    const MatrixRef here(c.row(row), rows, c.cols, c.row_stride);
    for (Index split = 1; split < splits; ++split)
      ctx.kernels.rowwise->add(here, here, MatrixRef(sums_of(split).row(row), rows, c.cols), Stores::cached);
    if (!problem.epilogue.empty()) apply_epilogue(problem.kernel, problem.epilogue, c, row, rows, 0, c.cols);
  });
}

void multiply_all(ExecContext& ctx, const Problem& problem, const GemmBatch& batch) {
  const MatrixRef c = problem.c;
  const Index depth = problem.a.cols;
  const GemmTasks tasks = choose_gemm_tasks(problem.kernel.mr, problem.kernel.nr, ctx.threads, batch.count,
                                            c.rows, c.cols, depth);
  const Weights weights = problem.b_panels == nullptr ? Weights::plain : Weights::packed;
  const ThreadFloats floats = thread_floats(problem.kernel, c.rows, c.cols, depth, weights);
  ScratchFrame frame(ctx.scratch);
  float* const packed = frame.take<float>(static_cast<std::size_t>(floats.all() * tasks.team));

  parallel_tasks(tasks.team, tasks.count, [&](Index task, int thread) {
    float* const mine = packed + thread * floats.all();
    run_job(problem.in_batch(batch, tasks.product(task)), tasks.job(task), mine, mine + floats.a);
  });
}

void multiply_one(ExecContext& ctx, const Problem& problem, Index splits) {
  splits > 1 ? multiply_splits(ctx, problem, splits) : multiply_all(ctx, problem, {});
}

bool is_tall(LeftFactor left, Index m, Index n, Index k) {
  return left == LeftFactor::transposed && m >= kTall * n &&
         k >= (n <= kFewRows ? kTallFewDepth : kTallDepth);
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

void multiply_tall(ExecContext& ctx, const Problem& problem, Index splits) {
  const MatrixRef c = problem.c;
  ScratchFrame frame(ctx.scratch);
  const MatrixRef turned_c(frame.take<float>(static_cast<std::size_t>(c.rows * c.cols)), c.cols, c.rows);
  if (problem.accumulate) transpose(ctx, turned_c, c);
  multiply_one(ctx,
               {problem.kernel,
                problem.b.transposed(),
                problem.a.transposed(),
                nullptr,
                turned_c,
                problem.accumulate,
                {}},
               splits);
  transpose(ctx, c, turned_c);
}

void multiply(ExecContext& ctx, Problem problem, Index b_rows, Index b_cols, Accumulate accumulate,
              const GemmBatch& batch = {}) {
  const MatrixRef c = problem.c;
  const Index depth = problem.a.cols;
  check_gemm(ctx.threads, problem.a.rows, depth, b_rows, b_cols, c, accumulate, problem.epilogue);
  problem.accumulate = take_residual_from_c(problem.epilogue, c) || accumulate == Accumulate::yes;
  if (c.rows == 0 || c.cols == 0 || batch.count == 0) return;
  if (depth == 0) {
    for (Index e = 0; e < batch.count; ++e) write_empty_sum(problem.in_batch(batch, e));
    return;
  }
  if (batch.count > 1) return multiply_all(ctx, problem, batch);

  const LeftFactor left = is_transposed(problem.a) ? LeftFactor::transposed : LeftFactor::as_it_is;
  const Index splits = splits_of(left, c.rows, c.cols, depth);
  const bool rows_of_k = problem.b_panels == nullptr && problem.b.col_stride == 1;
  const bool can_turn = rows_of_k && c.row_stride == c.cols && problem.epilogue.empty();
  can_turn&& is_tall(left, c.rows, c.cols, depth) ? multiply_tall(ctx, problem, splits)
                                                  : multiply_one(ctx, problem, splits);
}

}  // namespace

void gemm(ExecContext& ctx, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c, Accumulate accumulate,
          const GemmEpilogue& epilogue) {
  const GemmF32& tile = choose_tile(ctx.kernels, a, b.cols);
  multiply(ctx, {tile, a, b, nullptr, c, false, epilogue}, b.rows, b.cols, accumulate);
}

void gemm(ExecContext& ctx, ConstMatrixRef a, const PackedMatrix<float>& b, MatrixRef c,
          Accumulate accumulate, const GemmEpilogue& epilogue) {
  LOGLOG_CHECK(b.layout() == layout_of(*ctx.kernels.gemm_f32), "b was packed for another table than {}",
               ctx.kernels.name);
  multiply(ctx, {*ctx.kernels.gemm_f32, a, {}, b.data(), c, false, epilogue}, b.rows(), b.cols(), accumulate);
}

void gemm_batched(ExecContext& ctx, const GemmBatch& batch, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c,
                  Accumulate accumulate) {
  check_gemm_batch(batch, c.cols);
  const GemmF32& tile = choose_tile(ctx.kernels, a, b.cols);
  multiply(ctx, {tile, a, b, nullptr, c, false, {}}, b.rows, b.cols, accumulate, batch);
}

std::size_t gemm_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k, Weights b,
                               LeftFactor a) noexcept {
  const auto bytes = [&](Index floats) {
    return round_up_to_cache_line(static_cast<std::size_t>(floats) * sizeof(float));
  };
  const auto packed = [&](const GemmF32* tile, Index rows, Index cols) {
    return bytes(threads * thread_floats(*tile, rows, cols, k, b).all());
  };
  std::size_t most = packed(table.gemm_f32, m, n);
  if (suits_in_place(table, n)) most = std::max(most, packed(table.gemm_f32_in_place, m, n));
  if (is_tall(a, m, n, k) && b == Weights::plain)
    most = std::max(most, packed(table.gemm_f32, n, m) + bytes(m * n));
  return most + bytes((splits_of(a, m, n, k) - 1) * m * n);
}

}  // namespace loglog::kernels
