// Sets channels to zero where products take them, and sees what attention then looks at: what a model is without them.
#pragma once
#include <optional>
#include <vector>

#include "nn/probe.hpp"
#include "quant/activations/attention_focus.hpp"
#include "tensor/tensor.hpp"

namespace loglog::quant {

// `channels` of the inputs at `sites`, in every block or in `layer` alone; the stream itself is left. What is changed flows on through the
// model.
class ZeroingProbe final : public nn::Probe {
 public:
  ZeroingProbe(std::vector<std::string> sites, std::vector<Index> channels, std::optional<Index> layer = {});

  // ContractError for a channel that a site does not have.
  void input(kernels::ExecContext& ctx, nn::Place place, const tensor::FloatView& values) override;
  void attention(kernels::ExecContext& ctx, Index layer, const nn::SeenAttention& seen) override;
  const AttentionFocus& focus() const { return focus_; }

 private:
  std::vector<std::string> sites_;
  std::vector<Index> channels_;
  std::optional<Index> layer_;
  AttentionFocus focus_;
};

}  // namespace loglog::quant
