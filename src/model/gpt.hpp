// A GPT-2-style decoder: embedding, blocks, loss head, built from the configuration.
//
// Source: Radford et al. 2019; pre-norm blocks, tanh GELU, learned positions, head tied to the embedding or its own.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "nn/layer.hpp"

namespace loglog::model {

using nn::BatchShape;
using nn::ExecContext;
using nn::Token;

struct NamedParameter {
  std::string name;  // "blocks.0.attention.qkv.weight"
  tensor::Parameter tensor;
  tensor::Decay decay;
  tensor::Initial initial;
};

// Bytes of each block of memory of a training run. Nothing else of size is allocated.
struct MemoryPlan {
  std::size_t parameters = 0;
  std::size_t gradients = 0;
  std::size_t optimizer = 0;    // AdamW: two moments
  std::size_t activations = 0;  // what forward keeps for backward
  std::size_t scratch = 0;
  std::size_t total() const { return parameters + gradients + optimizer + activations + scratch; }
};

// First the embedding, last the loss head; the layers between hand on a stream of config.width channels.
using Layers = std::vector<std::unique_ptr<nn::Layer>>;
Layers gpt_layers(const ModelConfig& config);

class Gpt {
 public:
  // `shape` is the largest micro-batch; time must not exceed config.context. config is resolved (vocab > 0).
  Gpt(const ModelConfig& config, BatchShape shape);
  // The same with other layers: how a new one is tried before any configuration names it.
  Gpt(const ModelConfig& config, BatchShape shape, Layers layers);
  ~Gpt();
  Gpt(const Gpt&) = delete;
  Gpt& operator=(const Gpt&) = delete;

  // Without building anything. `scratch` is what ctx.scratch must hold in the calls below.
  static MemoryPlan plan(const ModelConfig& config, BatchShape shape, const kernels::KernelTable& table,
                         int threads);
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads) const;

  // Normal values of sd 0.02, 0.02 / sqrt(2 L) where a projection writes to the residual stream; each tensor
  // draws from a stream named after it, so adding a tensor changes no other.
  void initialise(std::uint64_t seed);
  void zero_gradients();

  // losses[r] in nats for every target, r = b * T + t; `batch` sequences at most as many as the constructor's.
  void forward(ExecContext& ctx, Index batch, const Token* tokens, const Token* targets, float* losses);
  // The same, and gradients += d(scale * sum of losses).
  void forward_backward(ExecContext& ctx, Index batch, const Token* tokens, const Token* targets, float scale,
                        float* losses);

  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  // All values, and all gradients, in the order of parameters(), with the padding between them (always zero).
  std::span<float> values() const { return value_arena_->used(); }
  std::span<float> gradients() const { return gradient_arena_->used(); }
  const ModelConfig& config() const { return config_; }
  BatchShape shape() const { return shape_; }

 private:
  void run_forward(ExecContext& ctx, const nn::Batch& batch);

  ModelConfig config_;
  BatchShape shape_;
  Layers layers_;
  Index placed_batch_;  // sequences that the saved views are shaped for
  std::unique_ptr<tensor::Arena> value_arena_;
  std::unique_ptr<tensor::Arena> gradient_arena_;
  std::unique_ptr<tensor::Arena> activation_arena_;
  std::vector<NamedParameter> parameters_;
  std::vector<tensor::MatrixView> stream_;  // stream_[i] (B*T, C): what layer i hands to layer i + 1
  tensor::MatrixView d_stream_[2];          // gradients of two neighbours, alternating
};

}  // namespace loglog::model
