// The driver of float32 products, whatever their right factor lies in; for gemm.cpp and weight_only.cpp.
#pragma once
#include "kernels/gemm_f32_job.hpp"

namespace loglog::kernels {

// Contract as of gemm in gemm.hpp, with a right factor of (b_rows, b_cols); problem.accumulate is set here.
void multiply_f32(ExecContext& ctx, GemmF32Product problem, Index b_rows, Index b_cols, Accumulate accumulate,
                  const GemmBatch& batch = {});

// Bytes that multiply_f32 takes at most from ctx.scratch.
std::size_t gemm_f32_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                   RightFactor b, LeftFactor a) noexcept;

}  // namespace loglog::kernels
