// Loss on the fixed validation sample.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batcher.hpp"
#include "model/gpt.hpp"

namespace loglog::train {

struct SourceLoss {
  std::string name;
  std::uint64_t tokens = 0;
  double loss = 0;  // nats per token; NaN when no window came from it
};

struct Evaluation {
  double loss = 0;  // nats per token, over all targets
  std::uint64_t tokens = 0;
  std::vector<SourceLoss> sources;  // in the order of the file
};

// Room for one pass of the model, (batch, context) each.
struct PassBuffers {
  std::span<data::Token> inputs;
  std::span<data::Token> targets;
  std::span<float> losses;
};

// Losses are summed in double, window by window in the order of the sample, so the result does not depend on
// how many windows the model takes at once. The contents of `buffers` are overwritten. Nothing when `stop` asked to break off.
std::optional<Evaluation> evaluate(kernels::ExecContext& ctx, model::Gpt& gpt,
                                   const data::FixedSample& sample, const std::vector<data::Source>& sources,
                                   const PassBuffers& buffers, const std::function<bool()>& stop);

}  // namespace loglog::train
