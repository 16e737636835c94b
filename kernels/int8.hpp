// Products of float32 matrices in int8, and what LLM.int8() makes of it: a few outliers stay float32.
//
//   x ~ scale (q - zero)                                    int8 q; one scale and zero per row of X, column of W, or matrix
//   C[M,N] = op(Xq Wq scaled + Xo W[o,:])                   Xo: the outliers of X, |x| >= threshold, which Xq leaves out
//
// Source: Dettmers, Lewis, Belkada, Zettlemoyer 2022, LLM.int8(), sections 2 and 3: absmax and zeropoint quantisation,
// row-wise and vector-wise scales, mixed-precision decomposition.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/exec.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_s8.hpp"
#include "kernels/matrix.hpp"
#include "kernels/packed_matrix.hpp"

namespace loglog::kernels {

// What the 8 bits cover. The range always contains 0, so that 0 is exact.
enum class Int8Range {
  absmax,     // -127..127 for -max|x|..max|x|, zero = 0
  zeropoint,  // -128..127 for min..max, zero in between
};
// What shares a scale and a zero.
enum class Int8Scope {
  tensor,  // the whole matrix: a row's result then depends on the other rows of the call
  vector,  // each row of X, each column of W
};
struct Int8Scheme {
  Int8Range range = Int8Range::absmax;
  Int8Scope scope = Int8Scope::vector;
};

// q[i,j] = round((x[i,j] / scale[i])) + zero[i], ties to even; sum[i] = the sum of q[i,:]. x ~ scale (q - zero).
struct QuantizedRows {
  Matrix<std::int8_t> q;  // (M,K)
  float* scale;           // (M)
  std::int32_t* zero;     // (M)
  std::int32_t* sum;      // (M)
};

// Shapes     x (M,K), out.q (M,K), limits (K). Any dimension may be 0.
// Strides    rows: any; columns: 1.
// Alignment  none required.
// Aliasing   out overlaps nothing else.
// Reads      only elements inside the shapes.
// Rounding   x is multiplied by 127 / max|x| or 255 / (max - min), itself rounded, and rounded to the nearest integer:
//            |x - scale (q - zero)| <= scale (1/2 + 2^-15) for inliers; zeropoint: 1 + 2^-15 at the ends of the range.
// Order      none: the bits of a row depend on itself alone with Int8Scope::vector.
// Errors     ContractError if shapes disagree, a size is below 0, rows of out.q overlap, threads < 1, or scratch is too small.
//
// Elements with |x| >= limits[j], infinities and NaN are outliers: left out of the range, with q = zero, so that they count
// as 0. Infinite limits make no others. A range within 2^-119 counts as 0 altogether.
void quantize_rows(ExecContext& ctx, const QuantizedRows& out, ConstMatrixRef x, const Int8Scheme& scheme,
                   const float* limits);

// The largest K whose sums of (q - zero) products fit into int32: K * 255^2 < 2^31.
inline constexpr Index kInt8MaxDepth = 33025;

// W (K,N) as it is quantised, in the form that files hold: W[k,j] ~ scale[j] (q[j,k] - zero[j]).
struct QuantizedColumns {
  Index rows = 0, cols = 0;  // K, N
  Int8Scheme scheme;
  std::vector<std::int8_t> q;       // (N,K): column after column
  std::vector<float> scale;         // (N)
  std::vector<std::int32_t> zero;   // (N)
  std::vector<Index> float_rows;    // that stay float32, ascending; their q is zero
  std::vector<float> float_values;  // (float_rows, N)
};
// Rows of W in float_rows stay float32: what they are multiplied with is an outlier whatever its size.
//
// Errors     std::bad_alloc; ContractError if W is not finite, float_rows are not ascending rows of W, K is too large, or a
//            size is below 0.
QuantizedColumns quantize_columns(const KernelTable& table, ConstMatrixRef w, const Int8Scheme& scheme,
                                  std::span<const Index> float_rows = {});

// The right factor W (K,N), packed once.
//
// Errors     std::bad_alloc; ContractError as above, or if the sizes of w's members disagree.
class Int8Weights {
 public:
  Int8Weights(const KernelTable& table, QuantizedColumns w);
  Int8Weights(const KernelTable& table, ConstMatrixRef w, const Int8Scheme& scheme,
              std::span<const Index> float_rows = {})
      : Int8Weights(table, quantize_columns(table, w, scheme, float_rows)) {}

  Index rows() const { return packed_.rows(); }
  Index cols() const { return packed_.cols(); }
  const Int8Scheme& scheme() const { return scheme_; }
  const PackedMatrix<std::int8_t>& packed() const { return packed_; }
  std::span<const float> scale() const { return scale_; }       // (N)
  std::span<const std::int32_t> zero() const { return zero_; }  // (N)
  std::span<const std::int32_t> sum() const { return sum_; }    // (N), over K
  std::span<const Index> float_rows() const { return float_rows_; }
  std::size_t bytes() const;  // of all this

  // What a matrix of these sizes will take.
  static std::size_t bytes(const KernelTable& table, Index rows, Index cols, Index float_rows) noexcept;

  // Columns [first, first + count) of row k in float32: as given where k is in float_rows, else from int8.
  void copy_row(float* out, Index k, Index first, Index count) const;
  // All of column j likewise (K).
  void copy_column(float* out, Index j) const;

 private:
  Int8Scheme scheme_;
  std::vector<Index> float_rows_;
  std::vector<float> float_values_;  // (float_rows, N)
  std::vector<float> scale_;
  std::vector<std::int32_t> zero_, sum_;
  PackedMatrix<std::int8_t> packed_;
};

struct Int8Options {
  Int8Scheme scheme;                                         // of X
  float threshold = std::numeric_limits<float>::infinity();  // LLM.int8(): 6
  // As published: an outlier takes its whole column of the call into float32, so a row's result depends on its batch.
  bool whole_columns = false;
};

// Outliers of X: columns that have any, and elements that were multiplied in float32.
struct OutlierCount {
  Index columns = 0, elements = 0;
};

// Shapes     x (M,K), w (K,N), c (M,N). Any of them may be 0. K <= kInt8MaxDepth.
// Strides    rows: any; columns: 1.
// Alignment  none required.
// Aliasing   c overlaps nothing else, the residual neither: it holds int32 sums on the way.
// Reads      only elements inside the shapes. An infinity or NaN of x is an outlier and reaches its row.
// Rounding   the int32 sums are exact. With I = |sum| scaled, O = sum_o |x||w| over the U columns with outliers:
//            |c - exact| <= 2^-24 (U + 4) (I + O) + (U + 1) 2^-149, exact being the same of the quantised matrices in real
//            numbers, before the epilogue of gemm.hpp, unless something overflows: |sum| times the scale of the row, which
//            comes first and may do so although the scale of the column would make c small (x = 1e38, w = 1e-30, K = 4);
//            that times the scale of the column; an outlier's product or a sum with it. Then c is infinite or NaN.
// Order      outliers ascending in k, on top of the scaled sum. A row's bits do not depend on the other rows, unless
//            scheme.scope is tensor or whole_columns is set.
// Errors     ContractError if shapes disagree, a size is below 0, rows of c overlap, K is too large, threads < 1, scratch
//            is too small, c is its own residual, threshold is not positive, or w was packed for another layout.
//
// Returns what was found beside w.float_rows().
OutlierCount gemm_int8(ExecContext& ctx, ConstMatrixRef x, const Int8Weights& w, MatrixRef c,
                       const Int8Options& options = {}, const GemmEpilogue& epilogue = {});

// The same of rows that are int8 already, without outliers. ContractError also if a zero is outside -128..127, beyond which
// sums may not fit into int32, or w has float rows, which need the float32 x. That x.sum is of x.q is the caller's promise.
void gemm_int8(ExecContext& ctx, const QuantizedRows& x, const Int8Weights& w, MatrixRef c,
               const GemmEpilogue& epilogue = {});

// Bytes that quantize_rows and gemm_int8 take from ctx.scratch for these sizes.
std::size_t quantize_rows_scratch_bytes(int threads) noexcept;
std::size_t gemm_int8_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k);

}  // namespace loglog::kernels
