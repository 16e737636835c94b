#include "kernels/gemm_f32_job.hpp"

#include <algorithm>

#include "kernels/gemm_epilogue.hpp"
#include "kernels/pack.hpp"

namespace loglog::kernels {
namespace {

// A strip of B (kc x nr) stays in L1, a block of A (kMc x kc, 144 KiB) in half of a 256-KiB L2, a panel of B (kc x kNc, 2 MiB) in L3.
constexpr Index kMc = 144;
constexpr Index kNc = 2048;

// Below this many columns, A is read in place: each packed element would be used too seldom to pay for its copy. A is packed
// earlier where its rows lie whole pages apart: those of a tile would share one set of L1 (4096 x 256 x 1024, two threads: 160 ->
// 196 GFLOP/s); or where it is transposed (in a weight gradient), so that each step touches another line, still earlier where that
// is 2 KiB away (512 x 128 x 4096 1.1, 768 x 192 x 4096 1.2 times as fast).
constexpr Index kPackAFromColumns = 384, kPackScatteredAFromColumns = 192, kPackFarAFromColumns = 96;
constexpr Index kPage = 1024, kFar = 512;  // in floats
// Up to so many steps the tile for an A in place is the faster one for any number of columns (384 to 1280, K 64 to 128 1.01 to 1.15,
// 192 0.96 to 1.0): the beginning and the end of a tile count, of which it has as many, and the copy does.
constexpr Index kShortDepth = 128;
// From this many row tiles on B is packed: the same consideration; where its rows are short, so that a block of them touches
// few pages, from this many rows on.
constexpr Index kPackBFromTiles = 3;
constexpr Index kPackShortBFromRows = 256;
// Elements between rows that count as short.
constexpr Index kShortRow = 1024;

// Columns of a block of B. With few rows no more than a panel where that packs nothing of A.
Index block_columns(Index nr, Index rows, RightFactor b) {
  return b != RightFactor::matrix && rows <= kGemmF32FewRows ? nr : kNc / nr * nr;
}

// What one step of the loops below multiplies.
struct Part {
  Index row, rows, col, cols, depth_first, depth;
};

// Where a job finds its operands.
enum class Source { in_place, scratch, panels, panel_source };

struct Operands {
  Source a, b;      // a is in place or in scratch
  float* a_packed;  // scratch
  float* b_packed;  // the same; holds the block of B already, of a B in place only its last, narrow strip
};

// The columns of B from part.col + j on.
void set_b(GemmStrip& strip, const GemmF32Product& p, const Operands& from, const Part& part, Index j) {
  const Index nr = p.nr;
  strip.n = static_cast<int>(std::min(nr, part.cols - j));
  strip.b_step = nr;
  if (from.b == Source::panel_source) {
    strip.b = nullptr;
  } else if (from.b == Source::panels) {
    strip.b = p.b_panels + (part.col + j) * p.a.cols + part.depth_first * nr;
  } else if (from.b == Source::in_place && strip.n == nr) {
    strip.b = p.b.row(part.depth_first) + part.col + j;
    strip.b_step = p.b.row_stride;
  } else {
    strip.b = from.b_packed + j * part.depth;
  }
}

// C[part] (+)= A[part] * B[part].
void multiply_part(const GemmF32Product& p, const Part& part, const Operands& from) {
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
  for (Index j = 0; j < part.cols; j += p.nr) {
    set_b(strip, p, from, part, j);
    strip.c = p.c.row(part.row) + part.col + j;
    if (from.b == Source::panel_source)
      p.b_source->multiply(strip, part.depth_first, part.col + j);
    else
      kernel.strip(strip);
    if (ends) apply_epilogue(p.kernel.epilogue, p.epilogue, p.c, part.row, part.rows, part.col + j, strip.n);
  }
}

// Packs or unpacks what set_b will look for in scratch.
void prepare_b(const GemmF32Product& p, const Part& part, const Operands& to) {
  if (to.b == Source::panels || to.b == Source::panel_source) return;
  if (p.b_source != nullptr)
    return p.b_source->unpack(to.b_packed, part.depth_first, part.depth, part.col, part.cols);
  const Index nr = p.nr;
  const Index first = to.b == Source::scratch ? 0 : part.cols / nr * nr;
  const float* b = p.b.data + part.depth_first * p.b.row_stride + (part.col + first) * p.b.col_stride;
  pack_panels(to.b_packed + first * part.depth, LinesView<float>{b, p.b.col_stride, p.b.row_stride},
              part.cols - first, nr, part.depth);
}

Index pack_a_from_columns(const ConstMatrixRef& a) {
  if (is_transposed(a)) return a.col_stride >= kFar ? kPackFarAFromColumns : kPackScatteredAFromColumns;
  return a.row_stride % kPage == 0 ? kPackScatteredAFromColumns : kPackAFromColumns;
}

Operands choose_operands(const GemmF32Product& p, const GemmJob& job, float* a_packed, float* b_packed) {
  Operands from = {Source::in_place, Source::in_place, a_packed, b_packed};
  const Index pack_a_from = pack_a_from_columns(p.a);
  if (!p.kernel.in_place && job.cols >= pack_a_from && job.rows > kGemmF32FewRows) from.a = Source::scratch;
  const Index pack_b_from =
      p.b.row_stride < kShortRow ? kPackShortBFromRows : (kPackBFromTiles - 1) * p.kernel.mr + 1;
  if (p.b_panels != nullptr) {
    from.b = Source::panels;
  } else if (p.b_source != nullptr && job.rows <= p.b_source->strip_rows()) {
    from.b = Source::panel_source;
  } else if (p.b_source != nullptr || p.b.col_stride != 1 || job.rows >= pack_b_from) {
    from.b = Source::scratch;
  }
  return from;
}

}  // namespace

Index strip_width(const GemmF32& kernel, Index columns) {
  if (!kernel.in_place || columns == 0) return kernel.nr;
  return round_up(ceil_div(columns, ceil_div(columns, kernel.nr)), kernel.vector);
}

bool suits_in_place(const KernelTable& table, Index columns) {
  return ceil_div(columns, table.gemm_f32_in_place->nr) < ceil_div(columns, table.gemm_f32->nr);
}

const GemmF32& choose_gemm_f32_tile(const KernelTable& table, const ConstMatrixRef& a, Index columns) {
  if (is_transposed(a) || a.rows <= kGemmF32FewRows) return *table.gemm_f32;
  const bool stays = columns < pack_a_from_columns(a) || a.cols <= kShortDepth;
  return stays && suits_in_place(table, columns) ? *table.gemm_f32_in_place : *table.gemm_f32;
}

GemmF32JobFloats gemm_f32_job_floats(const GemmF32& kernel, Index m, Index n, Index k, RightFactor b) {
  constexpr Index kLine = 64 / sizeof(float);
  const Index depth = std::min(k, kGemmF32Kc);
  const Index a_floats =
      m > kGemmF32FewRows ? depth * std::min(round_up(kMc, kernel.mr), round_up(m, kernel.mr)) : 0;
  const Index b_columns = std::min(round_up(n, kernel.nr), block_columns(kernel.nr, m, b));
  const Index b_floats = b == RightFactor::panels ? 0 : depth * b_columns;
  return {round_up(a_floats, kLine), round_up(b_floats, kLine)};
}

void run_gemm_f32_job(const GemmF32Product& p, const GemmJob& job, float* a_packed, float* b_packed) {
  const Operands from = choose_operands(p, job, a_packed, b_packed);
  const Index mc = round_up(kMc, p.kernel.mr);
  const Index nc = block_columns(p.nr, job.rows, p.right_factor());
  for (Index col = 0; col < job.cols; col += nc) {
    for (Index first = p.first; first < p.end; first += kGemmF32Kc) {
      Part part;
      part.col = job.col + col;
      part.cols = std::min(nc, job.cols - col);
      part.depth_first = first;
      part.depth = std::min(kGemmF32Kc, p.end - first);
      prepare_b(p, part, from);
      for (Index row = 0; row < job.rows; row += mc) {
        part.row = job.row + row;
        part.rows = std::min(mc, job.rows - row);
        multiply_part(p, part, from);
      }
    }
  }
}

}  // namespace loglog::kernels
