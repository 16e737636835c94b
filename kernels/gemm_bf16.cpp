#include "kernels/gemm_bf16.hpp"

#include "base/check.hpp"
#include "kernels/gemm_epilogue.hpp"
#include "kernels/gemm_packed.hpp"
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
    apply_epilogue(*ctx.kernels.gemm_f32, epilogue, c, row, rows, col, cols, here);
  });
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
  const auto finish = [&](int, Index row, Index rows, Index col, Index cols) {
    if (!epilogue.empty()) apply_epilogue(*ctx.kernels.gemm_f32, epilogue, p.c, row, rows, col, cols);
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
                                    Weights b, FloatType c) {
  const std::size_t product = multiply_packed_bytes(*table.gemm_bf16, threads, 1, m, n, k, b);
  if (c == FloatType::float32) return product;
  const auto sums =
      static_cast<std::size_t>(sums_elements(*table.gemm_bf16, threads, m, n, k)) * sizeof(float);
  return product + round_up_to_cache_line(sums);
}

std::size_t gemm_bf16_batched_scratch_bytes(const KernelTable& table, int threads, Index count, Index m,
                                            Index n, Index k) {
  return multiply_packed_bytes(*table.gemm_bf16, threads, count, m, n, k, Weights::plain);
}

}  // namespace loglog::kernels
