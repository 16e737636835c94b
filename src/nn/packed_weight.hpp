// A weight in the forms that products of bfloat16 take.
#pragma once
#include <memory>

#include "kernels/packed_matrix.hpp"
#include "nn/layer.hpp"

namespace loglog::nn {

// W (K, N) and its transpose, rounded and packed once for all products of a step.
class PackedWeight {
 public:
  void pack(ExecContext& ctx, ConstMatrixView weight);  // the first time makes room
  const kernels::PackedMatrix<bf16>& plain() const { return *plain_; }
  const kernels::PackedMatrix<bf16>& transposed() const { return *transposed_; }

  static std::size_t bytes(const kernels::KernelTable& table, Index rows, Index cols);

 private:
  std::unique_ptr<kernels::PackedMatrix<bf16>> plain_, transposed_;
};

}  // namespace loglog::nn
