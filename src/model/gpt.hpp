// A decoder-only language model: embedding, blocks of attention and perceptron, loss head, built from the configuration.
//
// Without further keys it is GPT-2's (Radford et al. 2019); what each key of ModelConfig puts in its place is in gpt_layers().
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "nn/packed_weight.hpp"

namespace loglog::model {

using nn::BatchShape;
using nn::ExecContext;
using nn::FloatType;
using nn::KeyValueType;
using nn::Token;

struct NamedParameter {
  std::string name;  // "blocks.0.attention.qkv.weight"
  tensor::Parameter tensor;
  tensor::Decay decay;
  tensor::Initial initial;
  float lr_scale = 1.0f;  // of the run's learning rate (width_scaling.hpp)
};

// What a model is built for. Passes alone need no gradients, and layers then share the room for what they keep inside. So do they in
// recomputing, training that keeps the stream between them alone and runs each block forward once more before it goes
// back (Chen et al. 2016): a third more FLOPs, the same bits.
enum class Purpose { training, recomputing, inference };

// Says in which form a weight of a model for inference is kept: null for float32. Its argument is a parameter's name and shape.
using Freeze =
    std::function<std::shared_ptr<const tensor::FrozenWeight>(std::string_view name, Index rows, Index cols)>;

// Bytes of each block of memory of a training run. Nothing else of size is allocated.
struct MemoryPlan {
  std::size_t parameters = 0;  // in float32
  std::size_t frozen = 0;      // and in other forms
  std::size_t gradients = 0;
  std::size_t optimizer = 0;  // filled in by who knows the optimiser
  // Made before the first pass: weights rounded to bfloat16, in the forms that products take; tables of rotary angles.
  std::size_t packed = 0;
  std::size_t activations = 0;  // what forward keeps for backward
  std::size_t scratch = 0;
  std::size_t total() const {
    return parameters + frozen + gradients + optimizer + packed + activations + scratch;
  }
};

// First the embedding, last the loss head; the layers between hand on a stream of config.width channels.
using Layers = std::vector<std::unique_ptr<nn::Layer>>;

// Of every parameter that a model of this configuration has, in its order.
struct ParameterShape {
  std::string name;
  Index rows, cols;
};
std::vector<ParameterShape> parameter_shapes(const ModelConfig& config);
// Ready to run, the tables of rotary angles included.
Layers gpt_layers(const ModelConfig& config, const nn::Products& products);

// New tokens of some sequences, and what is wanted of them.
struct NewTokens {
  std::span<const Token> tokens;                          // (R) of one sequence after the other
  std::span<const std::int32_t> positions;                // (R) in their sequences
  std::span<const kernels::AttentionSequence> sequences;  // as Batch::continued has them
  std::span<const Index> rows;                            // numbers of the tokens that the head looks at
  std::span<const Token> targets = {};                    // of `rows`, whose losses are wanted
  std::span<float> losses = {};                           // nats
  tensor::MatrixView logits = {};                         // (rows, V), wanted instead where it has data
};

// What a pass of training has besides its tokens.
struct TrainingPass {
  nn::DropoutState dropout = {};
  nn::Documents documents = {};
  float z_weight = 0.0f;  // Batch::z_weight
};

class Gpt {
 public:
  // `shape` is the largest micro-batch; time must not exceed config.context. config is resolved (vocab > 0).
  // Without `freeze`, all parameters are float32; with it, the model is for inference.
  Gpt(const ModelConfig& config, BatchShape shape, const nn::Products& products = {},
      Purpose purpose = Purpose::training, const Freeze& freeze = {});
  // The same with other layers: how a new one is tried before any configuration names it.
  Gpt(const ModelConfig& config, BatchShape shape, Layers layers, Purpose purpose = Purpose::training,
      const Freeze& freeze = {});
  ~Gpt();
  Gpt(const Gpt&) = delete;
  Gpt& operator=(const Gpt&) = delete;

  // Without building anything. `scratch` is what ctx.scratch must hold in the calls below. What `freeze` gives only has to know its
  // sizes.
  static MemoryPlan plan(const ModelConfig& config, BatchShape shape, const nn::Products& products,
                         const kernels::KernelTable& table, int threads, Purpose purpose = Purpose::training,
                         const Freeze& freeze = {});
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads) const;

  // Normal values of sd config.weight_sd(), by the root of the number of branches less where one writes to the residual stream;
  // biases 0, gains 1; all by width_scaling.hpp. Each tensor draws from a stream named after it, so adding a tensor changes no other.
  void initialise(std::uint64_t seed);
  void zero_gradients(ExecContext& ctx);
  // To be called after values() were written to: weights are packed again before the next pass.
  void values_changed() { packed_ = false; }

  // losses[r] in nats for every target, r = b * T + t; `batch` sequences at most as many as the constructor's.
  // A target of kernels::kIgnoreTarget has loss 0. `documents` only where shape().documents is set. `probe` sees the pass.
  void forward(ExecContext& ctx, Index batch, const Token* tokens, const Token* targets, float* losses,
               const nn::Documents& documents = {}, nn::Probe* probe = nullptr);
  // Of at most shape().rows() tokens, on a model for inference whose memory has its place. A row has the same bits whatever else is
  // in the call and however its sequence is cut into calls; where memory is of the products' type, those that it has in
  // forward().
  void forward(ExecContext& ctx, const NewTokens& batch);
  // Where the layers remember tokens of all sequences together (Module::visit_memory), and how many bytes that takes.
  void place_memory(const nn::MemoryShape& shape, const tensor::MemoryVisitor& v);
  static std::size_t memory_bytes(const ModelConfig& config, KeyValueType type, Index rows);
  // The same, and gradients += d(scale * sum of losses), of losses that pass.z_weight adds to.
  void forward_backward(ExecContext& ctx, Index batch, const Token* tokens, const Token* targets, float scale,
                        float* losses, const TrainingPass& pass = {});

  // Of float32: none that is frozen.
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  // All values, and all gradients (none of a model for inference), in the order of parameters(), with the padding between them (always zero).
  std::span<float> values() const { return value_arena_->used(); }
  std::span<float> gradients() const {
    return gradient_arena_ ? gradient_arena_->used() : std::span<float>();
  }
  const ModelConfig& config() const { return config_; }
  BatchShape shape() const { return shape_; }

 private:
  void place_activations();
  // The first `layers` of the list.
  void run_forward(ExecContext& ctx, const nn::Batch& batch, std::size_t layers);
  nn::Batch place_documents(nn::Batch batch, const nn::Documents& documents) const;

  ModelConfig config_;
  BatchShape shape_;
  Layers layers_;
  Purpose purpose_;
  BatchShape placed_;  // that the saved views are made for
  std::unique_ptr<tensor::Arena> value_arena_;
  std::unique_ptr<tensor::Arena> gradient_arena_;
  std::unique_ptr<tensor::Arena> activation_arena_;
  std::vector<NamedParameter> parameters_;
  std::vector<std::int32_t> positions_;  // (B*T)
  bool packed_ = false;                  // whether the layers have packed these values
  // stream_[i] (B*T, C): what layer i hands to layer i + 1; every other one in the same place in a model for inference
  std::vector<tensor::MatrixView> stream_;
  tensor::MatrixView d_stream_[2];  // gradients of two neighbours, alternating
};

}  // namespace loglog::model
