// Loss on a fixed sample of windows: validation, in training and of a finished model alike.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batcher.hpp"
#include "eval/packed_documents.hpp"
#include "model/gpt.hpp"

namespace loglog::eval {

struct SourceLoss {
  std::string name;
  std::uint64_t tokens = 0;
  double loss = 0;  // nats per token; NaN when no window came from it
};

struct Evaluation {
  double loss = 0;  // nats per token, over all targets that count
  std::uint64_t tokens = 0;
  std::vector<SourceLoss> sources;  // in the order of the file
};

// Whether to break off, asked before every pass; an empty one never says so.
using Stop = std::function<bool()>;

// Room for one pass of the model, (batch, context) each.
struct PassBuffers {
  std::span<data::Token> inputs;
  std::span<data::Token> targets;
  std::span<float> losses;
  PackedDocuments* documents = nullptr;  // where documents are kept apart
};

// Losses are summed in double, window by window in the order of the sample, so the result does not depend on
// how many windows the model takes at once. The contents of `buffers` are overwritten. Nothing when `stop` asked to break off.
// `on_window` gets losses and targets (T each) of every window in this order; `probe` sees the passes.
using OnWindow = std::function<void(std::uint64_t window, std::span<const float> losses,
                                    std::span<const data::Token> targets)>;
std::optional<Evaluation> evaluate(kernels::ExecContext& ctx, model::Gpt& gpt,
                                   const data::FixedSample& sample, const std::vector<data::Source>& sources,
                                   const PassBuffers& buffers, const Stop& stop,
                                   const OnWindow& on_window = {}, nn::Probe* probe = nullptr);

}  // namespace loglog::eval
