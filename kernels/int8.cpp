#include "kernels/int8.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/check.hpp"
#include "kernels/check_matrix.hpp"
#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_packed.hpp"
#include "kernels/int8_scale.hpp"
#include "kernels/profile.hpp"

namespace loglog::kernels {
namespace {

ValueRange both(ValueRange a, ValueRange b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high)};
}

// A range for each thread, on cache lines of their own.
struct alignas(kCacheLineBytes) ThreadRange {
  ValueRange value;
};

constexpr Index kRowsPerTask = 8;

// f(row, thread) for all rows.
template <class F>
void for_rows(int threads, Index rows, F&& f) {
  parallel_tasks(threads, ceil_div(rows, kRowsPerTask), [&](Index task, int thread) {
    const Index end = std::min(rows, (task + 1) * kRowsPerTask);
    for (Index i = task * kRowsPerTask; i < end; ++i) f(i, thread);
  });
}

// marks: K bytes for each thread, or null; see Int8::inlier_range.
void quantize(ExecContext& ctx, const QuantizedRows& out, ConstMatrixRef x, const Int8Scheme& scheme,
              const float* limits, std::uint8_t* marks) {
  const Int8& kernel = *ctx.kernels.int8;
  const auto range_of_row = [&](Index i, int thread) {
    return kernel.inlier_range(x.row(i), limits, x.cols,
                               marks == nullptr ? nullptr : marks + thread * x.cols);
  };
  const auto write_row = [&](Index i, const LineScale& s) {
    out.scale[i] = s.scale;
    out.zero[i] = s.zero;
    out.sum[i] = kernel.quantize(out.q.row(i), x.row(i), limits, x.cols, s.inverse, s.zero);
  };
  if (scheme.scope == Int8Scope::vector) {
    return for_rows(ctx.threads, x.rows, [&](Index i, int thread) {
      write_row(i, choose_scale(scheme.range, range_of_row(i, thread)));
    });
  }
  ScratchFrame frame(ctx.scratch);
  auto* const ranges = frame.take<ThreadRange>(static_cast<std::size_t>(ctx.threads));
  std::fill_n(ranges, ctx.threads, ThreadRange{});
  for_rows(ctx.threads, x.rows, [&](Index i, int thread) {
    ranges[thread].value = both(ranges[thread].value, range_of_row(i, thread));
  });
  ValueRange whole = {};
  for (int t = 0; t < ctx.threads; ++t) whole = both(whole, ranges[t].value);
  const LineScale scale = choose_scale(scheme.range, whole);
  for_rows(ctx.threads, x.rows, [&](Index i, int) { write_row(i, scale); });
}

void check_rows(ConstMatrixRef x, const Matrix<std::int8_t>& q, int threads) {
  check_size("x", x.rows, x.cols);
  LOGLOG_CHECK(q.rows == x.rows && q.cols == x.cols && x.col_stride == 1,
               "x is {}x{} with column stride {}, q is {}x{}", x.rows, x.cols, x.col_stride, q.rows, q.cols);
  check_rows_apart("q", q.rows, q.cols, q.row_stride);
  check_threads(threads);
}

// The outliers of X: `count` columns, ascending, and the rule that finds the elements.
struct OutlierColumns {
  ConstMatrixRef x;
  const float* limits;
  const Index* columns;
  Index count;
  Index elements;         // of X that are outliers
  const float* gathered;  // (rows of X, count), 0 for inliers; null where there are more than kOutliersAtOnce
};

// Outlier columns that are multiplied at once; any cut gives the same bits (OuterStrip).
constexpr Index kOutliersAtOnce = 64;

// One thread's part of the float product.
struct OutlierBlock {
  float* a;  // (rows, kOutliersAtOnce), for what was not gathered before
  float* b;  // (kOutliersAtOnce, nr)
};

void gather_outliers(float* a, const OutlierColumns& of, Index row, Index rows, const Index* columns,
                     Index count) {
  for (Index i = 0; i < rows; ++i) {
    const float* const x = of.x.row(row + i);
    for (Index u = 0; u < count; ++u) {
      const Index k = columns[u];
      *a++ = std::fabs(x[k]) < of.limits[k] ? 0.0f : x[k];
    }
  }
}

Index count_outliers(const OutlierColumns& of, Index row) {
  const float* const x = of.x.row(row);
  return std::count_if(of.columns, of.columns + of.count,
                       [&](Index k) { return !(std::fabs(x[k]) < of.limits[k]); });
}

void add_outliers(const Int8& kernel, const OutlierColumns& of, const Int8Weights& w, OutlierBlock& block,
                  MatrixRef c, Index row, Index rows, Index col, Index cols) {
  const Index nr = w.packed().layout().nr;
  for (Index first = 0; first < of.count; first += kOutliersAtOnce) {
    const Index count = std::min(kOutliersAtOnce, of.count - first);
    if (of.gathered == nullptr) gather_outliers(block.a, of, row, rows, of.columns + first, count);
    for (Index u = 0; u < count; ++u) w.copy_row(block.b + u * nr, of.columns[first + u], col, cols);
    kernel.add_outer({.m = rows,
                      .n = cols,
                      .depth = count,
                      .c = c.row(row) + col,
                      .c_row = c.row_stride,
                      .a = of.gathered == nullptr ? block.a : of.gathered + row * count,
                      .a_row = count,
                      .b = block.b,
                      .b_row = nr});
  }
}

// The int32 sums of Xq Wq at c, scaled.
void scale_sums(const Int8& kernel, const QuantizedRows& x, const Int8Weights& w, MatrixRef c, Index row,
                Index rows, Index col, Index cols, bool has_zeros) {
  DequantizeStrip strip = {};
  strip.m = rows;
  strip.n = cols;
  strip.c = c.row(row) + col;
  strip.c_row = c.row_stride;
  strip.row_scale = x.scale + row;
  strip.col_scale = w.scale().data() + col;
  strip.depth = static_cast<std::int32_t>(w.rows());
  if (has_zeros) {
    strip.row_zero = x.zero + row;
    strip.row_sum = x.sum + row;
    strip.col_zero = w.zero().data() + col;
    strip.col_sum = w.sum().data() + col;
  }
  kernel.dequantize(strip);
}

void check_product(const ExecContext& ctx, Index x_rows, Index x_cols, const Int8Weights& w, MatrixRef c,
                   const GemmEpilogue& epilogue) {
  check_gemm(ctx.threads, x_rows, x_cols, w.rows(), w.cols(), c, Accumulate::no, epilogue);
  LOGLOG_CHECK(epilogue.residual.data == nullptr || epilogue.residual.data != c.data,
               "c is its own residual, but holds int32 sums on the way ({}x{})", c.rows, c.cols);
  LOGLOG_CHECK(w.packed().layout() == layout_of(*ctx.kernels.gemm_s8),
               "w was packed for another table than {}", ctx.kernels.name);
}

// C = op(Xq Wq scaled + finish); finish(thread, row, rows, col, cols) adds to what is scaled.
template <class Finish>
void multiply(ExecContext& ctx, const QuantizedRows& x, bool has_zeros, const Int8Weights& w, MatrixRef c,
              const GemmEpilogue& epilogue, Finish&& finish) {
  // The sums take the place of the floats that they become: both have 4 bytes, and nothing else points there.
  const MatrixS32 sums(reinterpret_cast<std::int32_t*>(c.data), c.rows, c.cols, c.row_stride);
  const PackedProduct<std::int8_t, std::int32_t> product = {*ctx.kernels.gemm_s8, x.q,  {},
                                                            w.packed().data(),    sums, false};
  multiply_packed(ctx, product, [&](int thread, Index row, Index rows, Index col, Index cols) {
    scale_sums(*ctx.kernels.int8, x, w, c, row, rows, col, cols, has_zeros);
    finish(thread, row, rows, col, cols);
    if (!epilogue.empty()) apply_epilogue(ctx.kernels.gemm_s8->epilogue, epilogue, c, row, rows, col, cols);
  });
}

// What gemm_int8 needs beside the product's own scratch. take(count, T{}) gives memory for so many T, or only counts it.
struct Workspace {
  QuantizedRows rows;
  float* limits;              // (K)
  std::uint8_t* marks;        // (threads, K)
  Index* columns;             // (K)
  Index* outliers_of_row;     // (M)
  OutlierBlock* blocks;       // (threads)
  float* gathered;            // (M, kOutliersAtOnce)
  float *outliers, *weights;  // of all blocks
};

struct WorkspaceSizes {
  Index m, k, threads, block_outliers, block_weights;
};

WorkspaceSizes workspace_sizes(const KernelTable& table, int threads, Index m, Index k) {
  const GemmS8& kernel = *table.gemm_s8;
  const Index rows = std::min(PackedJob<std::int8_t, std::int32_t>::block_rows(kernel), m);
  return {m, k, threads, round_up(rows * kOutliersAtOnce, 16), round_up(kOutliersAtOnce * kernel.nr, 16)};
}

template <class Take>
Workspace carve(const WorkspaceSizes& s, Take&& take) {
  Workspace w = {};
  w.rows.q = {take(s.m * s.k, std::int8_t{}), s.m, s.k};
  w.rows.scale = take(s.m, float{});
  w.rows.zero = take(s.m, std::int32_t{});
  w.rows.sum = take(s.m, std::int32_t{});
  w.limits = take(s.k, float{});
  w.marks = take(s.threads * s.k, std::uint8_t{});
  w.columns = take(s.k, Index{});
  w.outliers_of_row = take(s.m, Index{});
  w.blocks = take(s.threads, OutlierBlock{});
  w.gathered = take(s.m * kOutliersAtOnce, float{});
  w.outliers = take(s.threads * s.block_outliers, float{});
  w.weights = take(s.threads * s.block_weights, float{});
  return w;
}

// The columns that any thread marked, ascending. Eight at a time: few are marked, and the threads wait.
Index collect_columns(const Workspace& w, Index k, int threads) {
  Index count = 0;
  for (Index first = 0; first < k; first += 8) {
    const Index columns = std::min<Index>(8, k - first);
    std::uint64_t marked = 0;
    for (int t = 0; t < threads; ++t) {
      std::uint64_t marks = 0;
      std::memcpy(&marks, w.marks + t * k + first, static_cast<std::size_t>(columns));
      marked |= marks;
    }
    if (marked == 0) continue;
    std::uint8_t of_column[8];
    std::memcpy(of_column, &marked, sizeof of_column);
    for (Index j = 0; j < columns; ++j)
      if (of_column[j] != 0) w.columns[count++] = first + j;
  }
  return count;
}

// X in int8, and its columns with outliers.
OutlierColumns split(ExecContext& ctx, const Workspace& w, ConstMatrixRef x,
                     std::span<const Index> float_rows, const Int8Options& options) {
  std::fill_n(w.limits, x.cols, options.threshold);
  for (const Index k : float_rows) w.limits[k] = 0.0f;
  std::fill_n(w.marks, ctx.threads * x.cols, std::uint8_t{0});
  quantize(ctx, w.rows, x, options.scheme, w.limits, w.marks);
  const Index count = collect_columns(w, x.cols, ctx.threads);
  if (options.whole_columns && count > static_cast<Index>(float_rows.size())) {
    for (Index u = 0; u < count; ++u) w.limits[w.columns[u]] = 0.0f;
    quantize(ctx, w.rows, x, options.scheme, w.limits, nullptr);
  }
  OutlierColumns found = {x, w.limits, w.columns, count, 0, nullptr};
  if (count == 0) return found;
  const bool gathers = count <= kOutliersAtOnce;
  for_rows(ctx.threads, x.rows, [&](Index i, int) {
    if (gathers) gather_outliers(w.gathered + i * count, found, i, 1, w.columns, count);
    w.outliers_of_row[i] = count_outliers(found, i);
  });
  found.elements = std::accumulate(w.outliers_of_row, w.outliers_of_row + x.rows, Index{0});
  if (gathers) found.gathered = w.gathered;
  return found;
}

void check_depth(Index depth) {
  LOGLOG_CHECK(depth <= kInt8MaxDepth, "K is {}: above {}, sums of products may not fit into int32", depth,
               kInt8MaxDepth);
}

void check_float_rows(std::span<const Index> float_rows, Index rows) {
  for (std::size_t i = 0; i < float_rows.size(); ++i) {
    LOGLOG_CHECK(float_rows[i] >= (i == 0 ? 0 : float_rows[i - 1] + 1) && float_rows[i] < rows,
                 "float_rows[{}] is {}: not ascending, or not a row of a W with {}", i, float_rows[i], rows);
  }
}

std::size_t int8_weights_bytes(Index packed, Index cols, Index float_rows) {
  const Index per_column =
      3 * static_cast<Index>(sizeof(float)) + float_rows * static_cast<Index>(sizeof(float));
  return static_cast<std::size_t>(packed + cols * per_column +
                                  float_rows * static_cast<Index>(sizeof(Index)));
}

}  // namespace

void quantize_rows(ExecContext& ctx, const QuantizedRows& out, ConstMatrixRef x, const Int8Scheme& scheme,
                   const float* limits) {
  check_rows(x, out.q, ctx.threads);
  quantize(ctx, out, x, scheme, limits, nullptr);
}

QuantizedColumns quantize_columns(const KernelTable& table, ConstMatrixRef w, const Int8Scheme& scheme,
                                  std::span<const Index> float_rows) {
  check_size("w", w.rows, w.cols);
  check_depth(w.rows);
  check_float_rows(float_rows, w.rows);
  QuantizedColumns result;
  result.rows = w.rows, result.cols = w.cols, result.scheme = scheme;
  result.float_rows.assign(float_rows.begin(), float_rows.end());
  result.scale.resize(static_cast<std::size_t>(w.cols));
  result.zero.resize(result.scale.size());
  // By columns: the rows of the transpose.
  const Block block(static_cast<std::size_t>(w.rows * w.cols) * sizeof(float));
  float* const columns = block.as<float>();
  constexpr Index kStep = 16;  // columns: a cache line of a row
  for (Index first = 0; first < w.cols; first += kStep) {
    for (Index k = 0; k < w.rows; ++k) {
      for (Index j = first; j < std::min(w.cols, first + kStep); ++j) {
        const float value = w.data[k * w.row_stride + j * w.col_stride];
        LOGLOG_CHECK(std::isfinite(value), "W is not finite at row {}, column {}", k, j);
        columns[j * w.rows + k] = value;
      }
    }
  }
  for (const Index k : float_rows) {
    for (Index j = 0; j < w.cols; ++j) result.float_values.push_back(columns[j * w.rows + k]);
  }
  std::vector<float> limits(static_cast<std::size_t>(w.rows), std::numeric_limits<float>::infinity());
  for (const Index k : float_rows) limits[k] = 0.0f;
  result.q.resize(static_cast<std::size_t>(w.rows * w.cols));
  std::vector<std::int32_t> sums(result.scale.size());  // Int8Weights has its own
  Scratch scratch(quantize_rows_scratch_bytes(1));
  ExecContext ctx{table, 1, scratch};
  const QuantizedRows out = {
      {result.q.data(), w.cols, w.rows}, result.scale.data(), result.zero.data(), sums.data()};
  quantize_rows(ctx, out, ConstMatrixRef(columns, w.cols, w.rows), scheme, limits.data());
  return result;
}

namespace {

const QuantizedColumns& checked(const QuantizedColumns& w) {
  check_size("w", w.rows, w.cols);
  check_depth(w.rows);
  check_float_rows(w.float_rows, w.rows);
  const auto cols = static_cast<std::size_t>(w.cols);
  LOGLOG_CHECK(w.q.size() == static_cast<std::size_t>(w.rows) * cols && w.scale.size() == cols &&
                   w.zero.size() == cols && w.float_values.size() == w.float_rows.size() * cols,
               "W is {}x{} with {} values, {} scales, {} zeros, {} values in {} float rows", w.rows, w.cols,
               w.q.size(), w.scale.size(), w.zero.size(), w.float_values.size(), w.float_rows.size());
  return w;
}

std::vector<std::int32_t> column_sums(const QuantizedColumns& w) {
  std::vector<std::int32_t> sums(static_cast<std::size_t>(w.cols));
  for (Index j = 0; j < w.cols; ++j) {
    const std::int8_t* const column = w.q.data() + j * w.rows;
    sums[j] = std::accumulate(column, column + w.rows, std::int32_t{0});
  }
  return sums;
}

}  // namespace

Int8Weights::Int8Weights(const KernelTable& table, QuantizedColumns w)
    : scheme_(checked(w).scheme),
      sum_(column_sums(w)),
      packed_(table, ConstMatrixS8(w.q.data(), w.cols, w.rows).transposed()) {
  float_rows_ = std::move(w.float_rows);
  float_values_ = std::move(w.float_values);
  scale_ = std::move(w.scale);
  zero_ = std::move(w.zero);
}

std::size_t Int8Weights::bytes() const {
  const Index packed = packed_.layout().elements(rows(), cols());
  return int8_weights_bytes(packed, cols(), static_cast<Index>(float_rows_.size()));
}

std::size_t Int8Weights::bytes(const KernelTable& table, Index rows, Index cols, Index float_rows) noexcept {
  return int8_weights_bytes(layout_of(*table.gemm_s8).elements(rows, cols), cols, float_rows);
}

void Int8Weights::copy_row(float* out, Index k, Index first, Index count) const {
  const auto at = std::lower_bound(float_rows_.begin(), float_rows_.end(), k);
  if (at != float_rows_.end() && *at == k) {
    const float* const row = float_values_.data() + (at - float_rows_.begin()) * cols();
    std::copy_n(row + first, count, out);
    return;
  }
  const PanelLayout& layout = packed_.layout();
  const int as_signed = layout.grouping.plus_128 ? -128 : 0;
  const Index end = first + count;
  for (Index j = first; j < end;) {
    const std::int8_t* q = packed_.data() + layout.offset(rows(), k, j);
    const Index panel_end = std::min(end, (j / layout.nr + 1) * layout.nr);
    for (; j < panel_end; ++j, q += layout.grouping.group)
      *out++ = static_cast<float>(static_cast<std::int8_t>(*q ^ as_signed) - zero_[j]) * scale_[j];
  }
}

void Int8Weights::copy_column(float* out, Index j) const {
  const PanelLayout& layout = packed_.layout();
  const int as_signed = layout.grouping.plus_128 ? -128 : 0;
  for (Index k = 0; k < rows(); ++k) {
    const std::int8_t q = packed_.data()[layout.offset(rows(), k, j)];
    out[k] = static_cast<float>(static_cast<std::int8_t>(q ^ as_signed) - zero_[j]) * scale_[j];
  }
  for (std::size_t i = 0; i < float_rows_.size(); ++i)
    out[float_rows_[i]] = float_values_[i * static_cast<std::size_t>(cols()) + static_cast<std::size_t>(j)];
}

OutlierCount gemm_int8(ExecContext& ctx, ConstMatrixRef x, const Int8Weights& w, MatrixRef c,
                       const Int8Options& options, const GemmEpilogue& epilogue) {
  const Timed timed(ctx, KernelFamily::product);
  check_product(ctx, x.rows, x.cols, w, c, epilogue);
  LOGLOG_CHECK(options.threshold > 0.0f && x.col_stride == 1, "threshold {}, column stride of x {}",
               options.threshold, x.col_stride);
  ScratchFrame frame(ctx.scratch);
  const WorkspaceSizes sizes = workspace_sizes(ctx.kernels, ctx.threads, x.rows, x.cols);
  const Workspace space =
      carve(sizes, [&]<class T>(Index count, T) { return frame.take<T>(static_cast<std::size_t>(count)); });
  const OutlierColumns outliers = split(ctx, space, x, w.float_rows(), options);
  for (int t = 0; t < ctx.threads; ++t)
    space.blocks[t] = {space.outliers + t * sizes.block_outliers, space.weights + t * sizes.block_weights};
  const bool has_zeros =
      options.scheme.range == Int8Range::zeropoint || w.scheme().range == Int8Range::zeropoint;
  multiply(ctx, space.rows, has_zeros, w, c, epilogue,
           [&](int thread, Index row, Index rows, Index col, Index cols) {
             add_outliers(*ctx.kernels.int8, outliers, w, space.blocks[thread], c, row, rows, col, cols);
           });
  const Index calibrated = static_cast<Index>(w.float_rows().size());
  if (x.rows == 0 || outliers.count == calibrated) return {};
  return {outliers.count - calibrated, outliers.elements - calibrated * x.rows};
}

void gemm_int8(ExecContext& ctx, const QuantizedRows& x, const Int8Weights& w, MatrixRef c,
               const GemmEpilogue& epilogue) {
  const Timed timed(ctx, KernelFamily::product);
  check_product(ctx, x.q.rows, x.q.cols, w, c, epilogue);
  LOGLOG_CHECK(w.float_rows().empty(), "w has {} float rows, which need the float32 x",
               w.float_rows().size());
  for (Index i = 0; i < x.q.rows; ++i)
    LOGLOG_CHECK(x.zero[i] >= -128 && x.zero[i] <= 127, "zero of row {} is {}", i, x.zero[i]);
  multiply(ctx, x, true, w, c, epilogue, [](int, Index, Index, Index, Index) {});
}

std::size_t quantize_rows_scratch_bytes(int threads) noexcept {
  return static_cast<std::size_t>(threads) * sizeof(ThreadRange);
}

std::size_t gemm_int8_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k) {
  std::size_t bytes = 0;
  carve(workspace_sizes(table, threads, m, k), [&]<class T>(Index count, T) -> T* {
    bytes += round_up_to_cache_line(static_cast<std::size_t>(count) * sizeof(T));
    return nullptr;
  });
  return bytes + std::max(quantize_rows_scratch_bytes(threads),
                          gemm_s8_scratch_bytes(table, threads, m, n, k, Weights::packed));
}

}  // namespace loglog::kernels
