// Hidden states in another basis: what depends on single channels must be gone there, whatever a model does.
#pragma once
#include <memory>
#include <vector>

#include "kernels/exec.hpp"
#include "quant/activations/spot.hpp"

namespace loglog::quant {

// An orthogonal matrix (width, width), each as likely as any other (Haar measure): a square of normal numbers, orthogonalised row by
// row (Stewart 1980). In double; depends on (width, seed) alone.
std::vector<double> random_rotation(Index width, std::uint64_t seed);

// Hands x Q to `sinks` in place of every row x: the same Q for all hidden states. They have its width (ContractError). Products are of
// float32.
class RotatedActivations final : public ActivationSink {
 public:
  RotatedActivations(const kernels::KernelTable& table, Index width, std::uint64_t seed,
                     std::vector<ActivationSink*> sinks);
  void add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t first, int threads) override;
  void end_rows(Index rows) override;

 private:
  const kernels::KernelTable& table_;
  Index width_;
  std::vector<float> rotation_;  // (width, width)
  std::vector<ActivationSink*> sinks_;
  kernels::Scratch scratch_;
  std::vector<float> rotated_;
};

}  // namespace loglog::quant
