// Sets channels to zero, and sees what attention then looks at: what a model is without them.
#pragma once
#include <optional>
#include <vector>

#include "nn/probe.hpp"
#include "quant/activations/attention_focus.hpp"
#include "tensor/tensor.hpp"

namespace loglog::quant {

// `channels` at `sites`, in every block or in `layer` alone. Of an input the product that takes it is without them, and the stream flows
// on as it is; of a stream, so is all that follows (but nn/probe.hpp: the mlp_stream of a parallel block).
class ZeroingProbe final : public nn::Probe {
 public:
  ZeroingProbe(std::vector<std::string> sites, std::vector<Index> channels, std::optional<Index> layer = {});

  // ContractError for a channel that a site does not have.
  void stream(kernels::ExecContext& ctx, nn::Place place, tensor::MatrixView values) override;
  void input(kernels::ExecContext& ctx, nn::Place place, const tensor::FloatView& values) override;
  void attention(kernels::ExecContext& ctx, Index layer, const nn::SeenAttention& seen) override;
  const AttentionFocus& focus() const { return focus_; }

 private:
  void zero(nn::Place place, const tensor::FloatView& values) const;

  std::vector<std::string> sites_;
  std::vector<Index> channels_;
  std::optional<Index> layer_;
  AttentionFocus focus_;
};

}  // namespace loglog::quant
