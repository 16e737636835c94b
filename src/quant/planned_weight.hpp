// Of a weight that is not there, its sizes: for what a model will take.
#pragma once
#include "base/check.hpp"
#include "tensor/frozen_weight.hpp"

namespace loglog::quant {

class PlannedWeight final : public tensor::FrozenWeight {
 public:
  using Index = kernels::Index;
  // Bytes that a product of so many rows takes of scratch with a weight (k,n).
  using Scratch = std::size_t(const kernels::KernelTable& table, int threads, Index rows, Index k, Index n);

  PlannedWeight(std::size_t bytes, Scratch* scratch, Index k, Index n)
      : bytes_(bytes), scratch_(scratch), k_(k), n_(n) {}

  void multiply(kernels::ExecContext&, const tensor::FloatView&, const tensor::ConstFloatView&,
                const kernels::GemmEpilogue&) const override {
    LOGLOG_CHECK(false, "a product with a weight {}x{} that was only planned", k_, n_);
  }
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, Index rows) const override {
    return scratch_(table, threads, rows, k_, n_);
  }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::size_t bytes_;
  Scratch* scratch_;
  Index k_, n_;
};

}  // namespace loglog::quant
