// A weight that is only read, in another form than float32: int8, int4, bfloat16. A model in use may be made of such forms; one
// that trains has none.
#pragma once
#include "kernels/gemm.hpp"
#include "tensor/tensor.hpp"

namespace loglog::tensor {

// Stands for W (K,N) of a linear layer, or for a table (V,C) whose forward product is with its transpose; then K = C and N = V.
class FrozenWeight {
 public:
  FrozenWeight() = default;
  virtual ~FrozenWeight() = default;
  FrozenWeight(const FrozenWeight&) = delete;
  FrozenWeight& operator=(const FrozenWeight&) = delete;

  // out (R,N) = op(in W), in (R,K), each of either type; op as in kernels/gemm.hpp, without slope and factor. The residual may be out.
  virtual void multiply(kernels::ExecContext& ctx, const FloatView& out, const ConstFloatView& in,
                        const kernels::GemmEpilogue& epilogue) const = 0;
  // Row `row` of a table (C), in float32. ContractError for a form that no table has.
  virtual void copy_row(float* out, Index row) const;
  // What multiply takes of ctx.scratch for R rows.
  virtual std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, Index rows) const = 0;
  // What it takes of memory.
  virtual std::size_t bytes() const = 0;
};

}  // namespace loglog::tensor
