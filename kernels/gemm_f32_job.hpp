// What one thread computes of a float32 product, with operands packed or in place; for the driver gemm_f32.cpp.
//
//   a job (gemm_grid.hpp), of K all or a split
//     columns by nc, K by kc           pack or unpack B: kc x nc, or read it where it is
//       rows by mc                     pack A: mc x kc, or read it where it is
//         columns by nr                one strip; after the last K block its epilogue
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/gemm_grid.hpp"
#include "kernels/matrix.hpp"
#include "kernels/packed_matrix.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// A block of K. It fixes the order of summation, so it depends on nothing.
inline constexpr Index kGemmF32Kc = 256;

// Up to here a job walks B column by column with all of K inside, so that packed weights are read as one stream: what
// these few rows need of A and C stays in L1.
inline constexpr Index kGemmF32FewRows = 16;

// Columns of a strip. Where a tile takes strips of fewer than nr, the columns are shared among them, so that the last is not much
// narrower than the others (80 columns: 48 + 32, not 64 + 16).
Index strip_width(const GemmF32& kernel, Index columns);

// A right factor in another form than float32. A job unpacks a block of it at a time, or, of few rows, multiplies with it as it lies.
class PanelSource {
 public:
  PanelSource() = default;
  virtual ~PanelSource() = default;
  PanelSource(const PanelSource&) = delete;
  PanelSource& operator=(const PanelSource&) = delete;
  // Steps [first, first + depth) of columns [col, col + cols) as float32, in panels of nr columns over `depth` (PanelLayout);
  // first and col at the beginning of a block of K and of a panel.
  virtual void unpack(float* panels, Index first, Index depth, Index col, Index cols) const noexcept = 0;
  // Up to so many rows: one strip with the panel of column `col` from step `first` on in place of strip.b, with the bits of
  // GemmF32::strip on what unpack would make of it.
  virtual Index strip_rows() const noexcept = 0;
  virtual void multiply(const GemmStrip& strip, Index first, Index col) const noexcept = 0;
};

// What the right factor lies in: a matrix, panels of float32 (PackedMatrix), or a PanelSource.
enum class RightFactor { matrix, panels, source };

// What is multiplied: with b_panels or b_source if one is there, else with b.
struct GemmF32Product {
  const GemmF32& kernel;
  ConstMatrixRef a, b = {};
  const float* b_panels = nullptr;
  const PanelSource* b_source = nullptr;
  MatrixRef c;
  bool accumulate = false;
  GemmEpilogue epilogue = {};
  Index first = 0, end = a.cols;  // of K
  Index nr = strip_width(kernel, c.cols);

  RightFactor right_factor() const {
    if (b_source != nullptr) return RightFactor::source;
    return b_panels != nullptr ? RightFactor::panels : RightFactor::matrix;
  }

  // The one so many products behind this.
  GemmF32Product in_batch(const GemmBatch& batch, Index product) const {
    GemmF32Product other = *this;
    other.a.data += product * batch.a_step;
    other.b.data += product * batch.b_step;
    other.c.data += product * batch.c_step;
    return other;
  }
};

// Columns of C for which the tile made for an A in place needs fewer strips than the usual one; else it is slower.
bool suits_in_place(const KernelTable& table, Index columns);

// Where B is plain and no job should pack A, the tile made for that: avx512, one thread, K = 64 1.1 to 1.2, K = 256 1.02 to 1.15
// times as fast. Not for a transposed A (9 x 48: 0.88 to 1.06).
const GemmF32& choose_gemm_f32_tile(const KernelTable& table, const ConstMatrixRef& a, Index columns);

// Floats of packed A and of packed or unpacked B that a job of m x n takes, in whole cache lines.
struct GemmF32JobFloats {
  Index a, b;
  Index all() const { return a + b; }
};
GemmF32JobFloats gemm_f32_job_floats(const GemmF32& kernel, Index m, Index n, Index k, RightFactor b);

// a_packed, b_packed: this thread's own, as large as gemm_f32_job_floats says.
void run_gemm_f32_job(const GemmF32Product& p, const GemmJob& job, float* a_packed, float* b_packed);

}  // namespace loglog::kernels
