#include "kernels/gemm.hpp"

#include "base/check.hpp"
#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_f32.hpp"
#include "kernels/packed_matrix.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

void gemm(ExecContext& ctx, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c, Accumulate accumulate,
          const GemmEpilogue& epilogue) {
  const GemmF32& tile = choose_gemm_f32_tile(ctx.kernels, a, b.cols);
  multiply_f32(ctx, {.kernel = tile, .a = a, .b = b, .c = c, .epilogue = epilogue}, b.rows, b.cols,
               accumulate);
}

void gemm(ExecContext& ctx, ConstMatrixRef a, const PackedMatrix<float>& b, MatrixRef c,
          Accumulate accumulate, const GemmEpilogue& epilogue) {
  LOGLOG_CHECK(b.layout() == layout_of(*ctx.kernels.gemm_f32), "b was packed for another table than {}",
               ctx.kernels.name);
  multiply_f32(ctx,
               {.kernel = *ctx.kernels.gemm_f32, .a = a, .b_panels = b.data(), .c = c, .epilogue = epilogue},
               b.rows(), b.cols(), accumulate);
}

void gemm_batched(ExecContext& ctx, const GemmBatch& batch, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c,
                  Accumulate accumulate) {
  check_gemm_batch(batch, c.cols);
  const GemmF32& tile = choose_gemm_f32_tile(ctx.kernels, a, b.cols);
  multiply_f32(ctx, {.kernel = tile, .a = a, .b = b, .c = c}, b.rows, b.cols, accumulate, batch);
}

std::size_t gemm_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k, Weights b,
                               LeftFactor a) noexcept {
  const RightFactor right = b == Weights::plain ? RightFactor::matrix : RightFactor::panels;
  return gemm_f32_scratch_bytes(table, threads, m, n, k, right, a);
}

}  // namespace loglog::kernels
