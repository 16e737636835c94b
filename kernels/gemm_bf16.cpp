#include "kernels/gemm_bf16.hpp"

#include "base/check.hpp"
#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_packed.hpp"

namespace loglog::kernels {
namespace {

using Product = PackedProduct<bf16, float>;

void multiply(ExecContext& ctx, Product p, Index b_rows, Index b_cols, Accumulate accumulate,
              GemmEpilogue epilogue, const GemmBatch& batch = {}) {
  check_gemm(ctx.threads, p.a.rows, p.a.cols, b_rows, b_cols, p.c, accumulate, epilogue, batch.count);
  p.accumulate = take_residual_from_c(epilogue, p.c) || accumulate == Accumulate::yes;
  const auto finish = [&](int, Index row, Index rows, Index col, Index cols) {
    if (!epilogue.empty()) apply_epilogue(*ctx.kernels.gemm_f32, epilogue, p.c, row, rows, col, cols);
  };
  multiply_packed(ctx, p, finish, batch);
}

}  // namespace

void gemm_bf16(ExecContext& ctx, ConstMatrixBf16 a, ConstMatrixBf16 b, MatrixRef c, Accumulate accumulate,
               const GemmEpilogue& epilogue) {
  multiply(ctx, {*ctx.kernels.gemm_bf16, a, b, nullptr, c, false}, b.rows, b.cols, accumulate, epilogue);
}

void gemm_bf16(ExecContext& ctx, ConstMatrixBf16 a, const PackedMatrix<bf16>& b, MatrixRef c,
               Accumulate accumulate, const GemmEpilogue& epilogue) {
  LOGLOG_CHECK(b.layout() == layout_of(*ctx.kernels.gemm_bf16), "b was packed for another table than {}",
               ctx.kernels.name);
  multiply(ctx, {*ctx.kernels.gemm_bf16, a, {}, b.data(), c, false}, b.rows(), b.cols(), accumulate,
           epilogue);
}

void gemm_bf16_batched(ExecContext& ctx, const GemmBatch& batch, ConstMatrixBf16 a, ConstMatrixBf16 b,
                       MatrixRef c, Accumulate accumulate) {
  check_gemm_batch(batch, c.cols);
  multiply(ctx, {*ctx.kernels.gemm_bf16, a, b, nullptr, c, false}, b.rows, b.cols, accumulate, {}, batch);
}

std::size_t gemm_bf16_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                    Weights b) {
  return multiply_packed_bytes(*table.gemm_bf16, threads, 1, m, n, k, b);
}

std::size_t gemm_bf16_batched_scratch_bytes(const KernelTable& table, int threads, Index count, Index m,
                                            Index n, Index k) {
  return multiply_packed_bytes(*table.gemm_bf16, threads, count, m, n, k, Weights::plain);
}

}  // namespace loglog::kernels
