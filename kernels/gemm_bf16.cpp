#include "kernels/gemm_bf16.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_packed.hpp"
#include "kernels/gemm_splits.hpp"
#include "kernels/profile.hpp"

namespace loglog::kernels {
namespace {

using Product = PackedProduct<bf16, float>;
using Job = PackedJob<bf16, float>;

// Where the sums of a C of bfloat16 lie: those of a strip beside each thread, or, where K is in several blocks, all.
Index sums_elements(const GemmBf16& kernel, int threads, Index m, Index n, Index k) {
  if (m <= 0 || n <= 0) return 0;
  return k > 0 && Job::is_one_block(kernel, k) ? threads * Job::strip_elements(kernel) : m * n;
}

void multiply_to_bf16(ExecContext& ctx, Product p, const FloatMatrix& c, const GemmEpilogue& epilogue) {
  const Index m = c.rows, n = c.cols, k = p.a.cols;
  ScratchFrame frame(ctx.scratch);
  float* const sums =
      frame.take<float>(static_cast<std::size_t>(sums_elements(p.kernel, ctx.threads, m, n, k)));
  const bool by_strips = k > 0 && Job::is_one_block(p.kernel, k);
  p.c = {by_strips ? nullptr : sums, m, n};
  p.strip_sums = by_strips ? sums : nullptr;
  multiply_packed(ctx, p, [&](int thread, Index row, Index rows, Index col, Index cols) {
    const ConstSums here = by_strips ? ConstSums{sums + thread * Job::strip_elements(p.kernel), p.kernel.nr}
                                     : ConstSums{p.c.row(row) + col, n};
    apply_epilogue(p.kernel.epilogue, epilogue, c, row, rows, col, cols, here);
  });
}

// Splits that can be products of one shape, of whole groups of steps.
Index splits_of(LeftFactor left, Index m, Index n, Index k) {
  constexpr Index kMultiple = 64;
  Index splits = gemm_splits(left, m, n, k);
  while (splits > 1 && k % (splits * kMultiple) != 0) --splits;
  return splits;
}

void multiply_splits(ExecContext& ctx, Product p, Index splits) {
  const MatrixRef c = p.c;
  const Accumulate accumulate = p.accumulate ? Accumulate::yes : Accumulate::no;
  const Index depth = p.a.cols / splits, size = c.rows * c.cols;
  ScratchFrame frame(ctx.scratch);
  float* const sums = frame.take<float>(static_cast<std::size_t>(splits * size));
  p.a.cols = p.b.rows = depth;
  p.c = {sums, c.rows, c.cols};
  p.accumulate = false;
  const GemmBatch batch = {
      .count = splits, .a_step = depth * p.a.col_stride, .b_step = depth * p.b.row_stride, .c_step = size};
  multiply_packed(
      ctx, p, [](int, Index, Index, Index, Index) {}, batch);
  add_splits(ctx, c, accumulate, sums, splits, p.kernel.epilogue);
}

void multiply(ExecContext& ctx, Product p, Index b_rows, Index b_cols, const FloatMatrix& c,
              Accumulate accumulate, GemmEpilogue epilogue, const GemmBatch& batch = {}) {
  const Timed timed(ctx, KernelFamily::product);
  check_gemm(ctx.threads, p.a.rows, p.a.cols, b_rows, b_cols, c, accumulate, epilogue, batch.count);
  if (c.type != FloatType::float32) {
    LOGLOG_CHECK(accumulate == Accumulate::no, "only a c of float32 can be added to");
    return multiply_to_bf16(ctx, p, c, epilogue);
  }
  p.c = c.as<float>();
  p.accumulate = take_residual_from_c(epilogue, c) || accumulate == Accumulate::yes;
  const bool can_split = batch.count == 1 && epilogue.empty() && p.b_packed == nullptr;
  const LeftFactor left = is_transposed(p.a) ? LeftFactor::transposed : LeftFactor::as_it_is;
  const Index splits = can_split ? splits_of(left, c.rows, c.cols, p.a.cols) : 1;
  if (splits > 1) return multiply_splits(ctx, p, splits);
  const auto finish = [&](int, Index row, Index rows, Index col, Index cols) {
    if (!epilogue.empty()) apply_epilogue(p.kernel.epilogue, epilogue, p.c, row, rows, col, cols);
  };
  multiply_packed(ctx, p, finish, batch);
}

}  // namespace

void gemm_bf16(ExecContext& ctx, ConstMatrixBf16 a, ConstMatrixBf16 b, const FloatMatrix& c,
               Accumulate accumulate, const GemmEpilogue& epilogue) {
  multiply(ctx, {*ctx.kernels.gemm_bf16, a, b, nullptr, {}, false}, b.rows, b.cols, c, accumulate, epilogue);
}

void gemm_bf16(ExecContext& ctx, ConstMatrixBf16 a, const PackedMatrix<bf16>& b, const FloatMatrix& c,
               Accumulate accumulate, const GemmEpilogue& epilogue) {
  LOGLOG_CHECK(b.layout() == layout_of(*ctx.kernels.gemm_bf16), "b was packed for another table than {}",
               ctx.kernels.name);
  multiply(ctx, {*ctx.kernels.gemm_bf16, a, {}, b.data(), {}, false}, b.rows(), b.cols(), c, accumulate,
           epilogue);
}

void gemm_bf16_batched(ExecContext& ctx, const GemmBatch& batch, ConstMatrixBf16 a, ConstMatrixBf16 b,
                       MatrixRef c, Accumulate accumulate) {
  check_gemm_batch(batch, c.cols);
  multiply(ctx, {*ctx.kernels.gemm_bf16, a, b, nullptr, {}, false}, b.rows, b.cols, c, accumulate, {}, batch);
}

std::size_t gemm_bf16_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                    Weights b, FloatType c, LeftFactor a) {
  const GemmBf16& kernel = *table.gemm_bf16;
  const auto floats = [](Index count) {
    return round_up_to_cache_line(static_cast<std::size_t>(count) * sizeof(float));
  };
  const std::size_t product = multiply_packed_bytes(kernel, threads, 1, m, n, k, b);
  if (c != FloatType::float32) return product + floats(sums_elements(kernel, threads, m, n, k));
  const Index splits = b == Weights::plain ? splits_of(a, m, n, k) : 1;
  if (splits == 1) return product;
  return std::max(
      product, floats(splits * m * n) + multiply_packed_bytes(kernel, threads, splits, m, n, k / splits, b));
}

std::size_t gemm_bf16_batched_scratch_bytes(const KernelTable& table, int threads, Index count, Index m,
                                            Index n, Index k) {
  return multiply_packed_bytes(*table.gemm_bf16, threads, count, m, n, k, Weights::plain);
}

}  // namespace loglog::kernels
