#include "kernels/gemm_s8.hpp"

#include "base/check.hpp"
#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_packed.hpp"
#include "kernels/profile.hpp"

namespace loglog::kernels {
namespace {

using Product = PackedProduct<std::int8_t, std::int32_t>;

void multiply(ExecContext& ctx, const Product& p, Index b_rows, Index b_cols, const GemmBatch& batch = {}) {
  const Timed timed(ctx, KernelFamily::product);
  check_gemm_shapes(ctx.threads, p.a.rows, p.a.cols, b_rows, b_cols, p.c, batch.count);
  LOGLOG_CHECK(b_rows <= kGemmS8MaxDepth, "K is {}: above {}, sums of products may not fit into int32",
               b_rows, kGemmS8MaxDepth);
  multiply_packed(
      ctx, p, [](int, Index, Index, Index, Index) {}, batch);
}

}  // namespace

void gemm_s8(ExecContext& ctx, ConstMatrixS8 a, ConstMatrixS8 b, MatrixS32 c, Accumulate accumulate) {
  multiply(ctx, {*ctx.kernels.gemm_s8, a, b, nullptr, c, accumulate == Accumulate::yes}, b.rows, b.cols);
}

void gemm_s8(ExecContext& ctx, ConstMatrixS8 a, const PackedMatrix<std::int8_t>& b, MatrixS32 c,
             Accumulate accumulate) {
  LOGLOG_CHECK(b.layout() == layout_of(*ctx.kernels.gemm_s8), "b was packed for another table than {}",
               ctx.kernels.name);
  multiply(ctx, {*ctx.kernels.gemm_s8, a, {}, b.data(), c, accumulate == Accumulate::yes}, b.rows(),
           b.cols());
}

void gemm_s8_batched(ExecContext& ctx, const GemmBatch& batch, ConstMatrixS8 a, ConstMatrixS8 b, MatrixS32 c,
                     Accumulate accumulate) {
  check_gemm_batch(batch, c.cols);
  multiply(ctx, {*ctx.kernels.gemm_s8, a, b, nullptr, c, accumulate == Accumulate::yes}, b.rows, b.cols,
           batch);
}

std::size_t gemm_s8_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                  Weights b) {
  return multiply_packed_bytes(*table.gemm_s8, threads, 1, m, n, k, b);
}

std::size_t gemm_s8_batched_scratch_bytes(const KernelTable& table, int threads, Index count, Index m,
                                          Index n, Index k) {
  return multiply_packed_bytes(*table.gemm_s8, threads, count, m, n, k, Weights::plain);
}

}  // namespace loglog::kernels
