// Hands what a probe sees to sinks, and what attention looked at.
#pragma once
#include <vector>

#include "nn/probe.hpp"
#include "quant/activations/attention_focus.hpp"
#include "quant/activations/spot.hpp"
#include "tensor/tensor.hpp"

namespace loglog::quant {

// Names of all sites, in the order in which a block has them.
std::vector<std::string> probe_sites();

// Every pass of the model gives rows that follow those of the pass before. Streams are seen as they are, inputs of products in float32
// whatever the model keeps them in; `sites` alone where it is not empty. `focus` may be null.
class ActivationProbe final : public nn::Probe {
 public:
  explicit ActivationProbe(std::vector<ActivationSink*> sinks, AttentionFocus* focus = nullptr,
                           std::vector<std::string> sites = {});

  void stream(kernels::ExecContext& ctx, nn::Place place, tensor::MatrixView values) override;
  void input(kernels::ExecContext& ctx, nn::Place place, const tensor::FloatView& values) override;
  void attention(kernels::ExecContext& ctx, Index layer, const nn::SeenAttention& seen) override;

 private:
  bool wants(nn::Site site) const;
  void give(nn::Place place, kernels::ConstMatrixRef values, int threads);

  std::vector<ActivationSink*> sinks_;
  AttentionFocus* focus_;
  std::vector<std::string> sites_;
  std::vector<float> widened_;
  std::uint64_t first_ = 0;  // row of the pass
};

}  // namespace loglog::quant
