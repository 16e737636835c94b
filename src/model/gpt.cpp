#include "model/gpt.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "nn/block.hpp"
#include "nn/embedding.hpp"
#include "nn/loss_head.hpp"

namespace loglog::model {

// The model, one line per part. This is the page to read.
Layers gpt_layers(const ModelConfig& config) {
  const float weight_sd = config.weight_sd();
  // Each block writes to the residual stream twice (GPT-2, section 2.3).
  const float residual_sd = weight_sd / std::sqrt(2.0f * static_cast<float>(config.layers));
  const nn::AttentionConfig attention{.width = config.width,
                                      .heads = config.heads,
                                      .bias = config.bias,
                                      .norm_epsilon = config.norm_epsilon,
                                      .weight_sd = weight_sd,
                                      .out_sd = residual_sd};
  const nn::MlpConfig mlp{.width = config.width,
                          .hidden = config.hidden(),
                          .bias = config.bias,
                          .norm_epsilon = config.norm_epsilon,
                          .weight_sd = weight_sd,
                          .out_sd = residual_sd};
  Layers layers;
  auto embedding = std::make_unique<nn::Embedding>(config.vocab, config.context, config.width, weight_sd);
  const tensor::Parameter* shared = config.tied ? &embedding->token() : nullptr;
  layers.push_back(std::move(embedding));
  for (Index i = 0; i < config.layers; ++i) layers.push_back(std::make_unique<nn::Block>(attention, mlp));
  layers.push_back(std::make_unique<nn::LossHead>(config.vocab, config.width, config.bias,
                                                  config.norm_epsilon, weight_sd, shared));
  return layers;
}

namespace {

std::string layer_name(std::size_t index, std::size_t count) {
  if (index == 0) return "embedding";
  if (index + 1 == count) return "head";
  return "blocks." + std::to_string(index - 1);
}

void visit_parameters(const Layers& layers, const tensor::ParameterVisitor& v) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i]->visit_parameters(tensor::within(layer_name(i, layers.size()), v));
  }
}

void visit_saved(const Layers& layers, BatchShape shape, const tensor::SavedVisitor& v) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i]->visit_saved(shape, tensor::within(layer_name(i, layers.size()), v));
  }
}

std::size_t parameter_floats(const Layers& layers) {
  std::size_t floats = 0;
  visit_parameters(layers, [&](std::string_view, tensor::Parameter&, Index rows, Index cols, tensor::Decay,
                               tensor::Initial) { floats += tensor::arena_floats(rows * cols); });
  return floats;
}

// What the layers keep, the stream between them, and two gradients of it.
std::size_t activation_floats(const Layers& layers, BatchShape shape, Index width) {
  std::size_t floats = (layers.size() - 1 + 2) * tensor::arena_floats(shape.rows() * width);
  visit_saved(layers, shape, [&](std::string_view, tensor::MatrixView&, Index rows, Index cols) {
    floats += tensor::arena_floats(rows * cols);
  });
  return floats;
}

std::size_t largest_scratch(const Layers& layers, const kernels::KernelTable& table, int threads,
                            BatchShape shape) {
  std::size_t bytes = 0;
  for (const auto& layer : layers) bytes = std::max(bytes, layer->scratch_bytes(table, threads, shape));
  return bytes;
}

}  // namespace

Gpt::Gpt(const ModelConfig& config, BatchShape shape) : Gpt(config, shape, gpt_layers(config)) {}

Gpt::Gpt(const ModelConfig& config, BatchShape shape, Layers layers)
    : config_(config), shape_(shape), layers_(std::move(layers)), placed_batch_(shape.batch) {
  LOGLOG_CHECK(config.vocab > 0 && shape.time <= config.context && config.width % config.heads == 0,
               "vocab {}, time {}, context {}, width {}, heads {}", config.vocab, shape.time, config.context,
               config.width, config.heads);
  const std::size_t floats = parameter_floats(layers_);
  value_arena_ = std::make_unique<tensor::Arena>(floats);
  gradient_arena_ = std::make_unique<tensor::Arena>(floats);
  activation_arena_ = std::make_unique<tensor::Arena>(activation_floats(layers_, shape, config.width));
  visit_parameters(layers_, [&](std::string_view name, tensor::Parameter& p, Index rows, Index cols,
                                tensor::Decay decay, tensor::Initial initial) {
    p = {value_arena_->take(rows * cols), gradient_arena_->take(rows * cols), rows, cols};
    parameters_.push_back({std::string(name), p, decay, initial});
  });
  const auto place = [&](Index rows, Index cols) {
    return tensor::MatrixView(activation_arena_->take(rows * cols), rows, cols);
  };
  visit_saved(layers_, shape, [&](std::string_view, tensor::MatrixView& view, Index rows, Index cols) {
    view = place(rows, cols);
  });
  for (std::size_t i = 0; i + 1 < layers_.size(); ++i) stream_.push_back(place(shape.rows(), config.width));
  for (tensor::MatrixView& view : d_stream_) view = place(shape.rows(), config.width);
}

Gpt::~Gpt() = default;

MemoryPlan Gpt::plan(const ModelConfig& config, BatchShape shape, const kernels::KernelTable& table,
                     int threads) {
  const Layers layers = gpt_layers(config);
  MemoryPlan plan;
  plan.parameters = parameter_floats(layers) * sizeof(float);
  plan.gradients = plan.parameters;
  plan.optimizer = 2 * plan.parameters;
  plan.activations = activation_floats(layers, shape, config.width) * sizeof(float);
  plan.scratch = largest_scratch(layers, table, threads, shape);
  return plan;
}

std::size_t Gpt::scratch_bytes(const kernels::KernelTable& table, int threads) const {
  return largest_scratch(layers_, table, threads, shape_);
}

void Gpt::initialise(std::uint64_t seed) {
  for (const NamedParameter& p : parameters_) {
    const Rng rng(seed, XXH3_64bits(p.name.data(), p.name.size()));
    for (Index i = 0; i < p.tensor.size(); ++i) {
      const double noise =
          p.initial.sd == 0.0f ? 0.0 : p.initial.sd * rng.normal(static_cast<std::uint64_t>(i));
      p.tensor.value[i] = static_cast<float>(p.initial.mean + noise);
    }
  }
}

void Gpt::zero_gradients() {
  std::ranges::fill(gradients(), 0.0f);
}

namespace {

// The part of a full-size view that a smaller batch uses.
tensor::MatrixView first_rows(tensor::MatrixView view, Index rows) {
  view.rows = rows;
  return view;
}

}  // namespace

void Gpt::run_forward(ExecContext& ctx, const nn::Batch& batch) {
  LOGLOG_CHECK(batch.shape.batch <= shape_.batch, "{} sequences, room for {}", batch.shape.batch,
               shape_.batch);
  if (batch.shape.batch != placed_batch_) {
    // The saved views take the shape of this batch; the memory stays where it is.
    visit_saved(layers_, batch.shape, [](std::string_view, tensor::MatrixView& view, Index rows, Index cols) {
      view = {view.data, rows, cols};
    });
    placed_batch_ = batch.shape.batch;
  }
  const Index rows = batch.shape.rows();
  tensor::MatrixView in;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const tensor::MatrixView out = i < stream_.size() ? first_rows(stream_[i], rows) : tensor::MatrixView();
    layers_[i]->forward(ctx, batch, out, in);
    in = out;
  }
}

void Gpt::forward(ExecContext& ctx, Index batch, const Token* tokens, const Token* targets, float* losses) {
  run_forward(ctx, {{batch, shape_.time}, tokens, targets, losses, 1.0f, false});
}

void Gpt::forward_backward(ExecContext& ctx, Index batch, const Token* tokens, const Token* targets,
                           float scale, float* losses) {
  const nn::Batch micro{{batch, shape_.time}, tokens, targets, losses, scale, true};
  run_forward(ctx, micro);
  const Index rows = micro.shape.rows();
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const tensor::MatrixView in = i > 0 ? first_rows(stream_[i - 1], rows) : tensor::MatrixView();
    layers_[i]->backward(ctx, micro, first_rows(d_stream_[i % 2], rows),
                         first_rows(d_stream_[(i + 1) % 2], rows), in);
  }
}

}  // namespace loglog::model
