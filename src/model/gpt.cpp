#include "model/gpt.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "kernels/rowwise/sums.hpp"
#include "model/width_scaling.hpp"
#include "nn/attention.hpp"
#include "nn/block.hpp"
#include "nn/embedding.hpp"
#include "nn/loss_head.hpp"
#include "nn/mlp.hpp"
#include "tensor/frozen_weight.hpp"

namespace loglog::model {

namespace {

nn::NormConfig norm_of(const ModelConfig& config) {
  const auto kind = config.norm == "layernorm" ? nn::NormKind::layernorm
                    : config.norm == "rmsnorm" ? nn::NormKind::rmsnorm
                                               : nn::NormKind::none;
  return {kind, config.bias, config.norm_epsilon};
}

kernels::AttentionMask mask_of(const ModelConfig& config) {
  using kernels::AttentionMask;
  if (config.mask == "prefix") return AttentionMask::prefix_of(config.mask_span);
  if (config.mask == "window") return AttentionMask::window_of(config.mask_span);
  return config.mask == "full" ? AttentionMask::full() : AttentionMask::causal();
}

kernels::Activation activation_of(const ModelConfig& config) {
  using kernels::Activation;
  if (config.mlp == "relu" || config.mlp == "reglu") return Activation::relu;
  if (config.mlp == "silu" || config.mlp == "swiglu") return Activation::silu;
  return config.mlp == "gelu-erf" ? Activation::gelu_erf : Activation::gelu;
}

using Rotary = std::shared_ptr<const nn::RotaryAngles>;

// The model, one line per part. This is the page to read. Layers that are only measured need no angles.
Layers layers_of(const ModelConfig& config, const nn::Products& products, const Rotary& rotary) {
  const float weight_sd = config.weight_sd();
  // Each branch writes to the residual stream (GPT-2, section 2.3).
  const float branches = static_cast<float>(config.layers * (config.has_mlp() ? 2 : 1));
  const float residual_sd = weight_sd / std::sqrt(branches);
  nn::AttentionConfig attention{.width = config.width,
                                .heads = config.heads,
                                .kv_heads = config.key_heads(),
                                .bias = config.bias,
                                .qkv_bias = config.has_qkv_bias(),
                                .qk_norm = config.qk_norm,
                                .norm = norm_of(config),
                                .mask = mask_of(config),
                                .rotary = rotary,
                                .weight_sd = weight_sd,
                                .out_sd = residual_sd,
                                .products = products};
  nn::MlpConfig mlp{.width = config.width,
                    .hidden = config.hidden(),
                    .activation = activation_of(config),
                    .gated = config.is_gated(),
                    .bias = config.bias,
                    .norm = norm_of(config),
                    .weight_sd = weight_sd,
                    .out_sd = residual_sd,
                    .products = products};
  const auto order = config.block == "parallel" ? nn::BlockOrder::parallel : nn::BlockOrder::serial;
  const Index positions = config.position == "learned" ? config.context : 0;
  Layers layers;
  auto embedding =
      std::make_unique<nn::Embedding>(nn::EmbeddingConfig{config.vocab, config.width, positions, weight_sd});
  const tensor::Parameter* shared = config.tied ? &embedding->token() : nullptr;
  layers.push_back(std::move(embedding));
  for (Index i = 0; i < config.layers; ++i) {
    attention.site = 2 * i + 1;  // the embedding is at 0
    mlp.site = 2 * i + 2;
    attention.layer = mlp.layer = i;
    std::vector<nn::Block::Branch> parts;
    parts.push_back({"attention", std::make_unique<nn::AttentionSublayer>(attention)});
    if (config.has_mlp()) parts.push_back({"mlp", std::make_unique<nn::MlpSublayer>(mlp)});
    layers.push_back(std::make_unique<nn::Block>(config.width, order, std::move(parts)));
  }
  layers.push_back(std::make_unique<nn::LossHead>(
      nn::LossHeadConfig{config.vocab, config.width, norm_of(config), weight_sd, products, config.layers},
      shared));
  return layers;
}

// For what there is to know of a model that nobody runs.
Layers measured_layers(const ModelConfig& config, const nn::Products& products) {
  return layers_of(config, products, nullptr);
}

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

// Of the parameters that are not frozen.
std::size_t parameter_bytes(const Layers& layers) {
  std::size_t bytes = 0;
  visit_parameters(layers, [&](std::string_view, tensor::Parameter& p, Index rows, Index cols, tensor::Decay,
                               tensor::Initial) {
    if (p.frozen == nullptr) bytes += tensor::arena_bytes(rows * cols);
  });
  return bytes;
}

// Their bytes.
std::size_t freeze_parameters(const Layers& layers, const Freeze& freeze) {
  std::size_t bytes = 0;
  if (!freeze) return bytes;
  visit_parameters(layers, [&](std::string_view name, tensor::Parameter& p, Index rows, Index cols,
                               tensor::Decay, tensor::Initial) {
    p.frozen = freeze(name, rows, cols);
    if (p.frozen != nullptr) bytes += p.frozen->bytes();
  });
  return bytes;
}

std::size_t packed_bytes(const Layers& layers, const kernels::KernelTable& table) {
  std::size_t bytes = 0;
  for (const auto& layer : layers) bytes += layer->packed_bytes(table);
  return bytes;
}

// Sums the bytes of what it visits.
struct Measure {
  std::size_t bytes = 0;
  tensor::SavedVisitor visitor() {
    return tensor::SavedVisitor([this](std::string_view, void* now, Index rows, Index cols, FloatType type) {
      bytes += tensor::arena_bytes(rows * cols, type);
      return now;
    });
  }
};

// For training what the layers keep, the stream between them, and two gradients of it; recomputing what the head and the largest of
// the others keep; for inference what the largest keeps while it runs, and its ends of the stream.
std::size_t activation_bytes(const Layers& layers, BatchShape shape, Index width, Purpose purpose) {
  const std::size_t stream = tensor::arena_bytes(shape.rows() * width);
  std::size_t all = 0, most = 0, head = 0;
  for (const auto& layer : layers) {
    Measure kept;
    layer->visit_saved(shape, kept.visitor());
    all += kept.bytes;
    if (layer == layers.back()) head = kept.bytes;
    if (layer != layers.back() || purpose == Purpose::inference) most = std::max(most, kept.bytes);
  }
  if (purpose == Purpose::inference) return most + 2 * stream;
  return (purpose == Purpose::training ? all : head + most) + (layers.size() - 1 + 2) * stream;
}

std::size_t largest_scratch(const Layers& layers, const kernels::KernelTable& table, int threads,
                            BatchShape shape) {
  std::size_t bytes = 0;
  for (const auto& layer : layers) bytes = std::max(bytes, layer->scratch_bytes(table, threads, shape));
  return bytes;
}

// Passes of sequences that go on may have as many sequences as rows.
std::size_t scratch_for(const Layers& layers, const kernels::KernelTable& table, int threads,
                        BatchShape shape, Purpose purpose) {
  const std::size_t whole = largest_scratch(layers, table, threads, shape);
  if (purpose != Purpose::inference) return whole;
  return std::max(whole, largest_scratch(layers, table, threads, {shape.rows(), 1}));
}

}  // namespace

Layers gpt_layers(const ModelConfig& config, const nn::Products& products) {
  const Index pairs = config.rotary_pairs();
  Rotary rotary;
  if (pairs > 0)
    rotary = std::make_shared<nn::RotaryAngles>(config.context, pairs, config.rope_base,
                                                kernels::RotaryPairing::halves);
  return layers_of(config, products, rotary);
}

std::vector<ParameterShape> parameter_shapes(const ModelConfig& config) {
  std::vector<ParameterShape> shapes;
  visit_parameters(
      measured_layers(config, FloatType::float32),
      [&](std::string_view name, tensor::Parameter&, Index rows, Index cols, tensor::Decay, tensor::Initial) {
        shapes.push_back({std::string(name), rows, cols});
      });
  return shapes;
}

namespace {

// Nothing goes back through a model for inference.
nn::Products products_for(Purpose purpose, nn::Products products) {
  if (purpose == Purpose::inference && products.packed == nn::PackedForms::both)
    products.packed = nn::PackedForms::forward;
  return products;
}

}  // namespace

Gpt::Gpt(const ModelConfig& config, BatchShape shape, const nn::Products& products, Purpose purpose,
         const Freeze& freeze)
    : Gpt(config, shape, gpt_layers(config, products_for(purpose, products)), purpose, freeze) {}

Gpt::Gpt(const ModelConfig& config, BatchShape shape, Layers layers, Purpose purpose, const Freeze& freeze)
    : config_(config), shape_(shape), layers_(std::move(layers)), purpose_(purpose), placed_(shape) {
  LOGLOG_CHECK(config.vocab > 0 && shape.time <= config.context && config.width % config.heads == 0,
               "vocab {}, time {}, context {}, width {}, heads {}", config.vocab, shape.time, config.context,
               config.width, config.heads);
  LOGLOG_CHECK(!freeze || purpose == Purpose::inference, "frozen weights in a model that trains");
  freeze_parameters(layers_, freeze);
  const std::size_t bytes = parameter_bytes(layers_);
  value_arena_ = std::make_unique<tensor::Arena>(bytes);
  if (purpose != Purpose::inference) gradient_arena_ = std::make_unique<tensor::Arena>(bytes);
  visit_parameters(layers_, [&](std::string_view name, tensor::Parameter& p, Index rows, Index cols,
                                tensor::Decay decay, tensor::Initial initial) {
    if (p.frozen != nullptr) {
      p.rows = rows, p.cols = cols;
      return;
    }
    float* const gradient = gradient_arena_ ? gradient_arena_->take(rows * cols) : nullptr;
    p = {value_arena_->take(rows * cols), gradient, rows, cols};
    const ScaledParameter scaled = scale_to_width(config, name, initial);
    parameters_.push_back({std::string(name), p, decay, scaled.initial, scaled.lr_scale});
  });
  place_activations();
  for (Index r = 0; r < shape.rows(); ++r) positions_.push_back(static_cast<std::int32_t>(r % shape.time));
}

void Gpt::place_activations() {
  const std::size_t bytes = activation_bytes(layers_, shape_, config_.width, purpose_);
  // A model in use often has passes of a few tokens alone.
  activation_arena_ = std::make_unique<tensor::Arena>(
      bytes, purpose_ == Purpose::inference ? tensor::Pages::on_use : tensor::Pages::now);
  const auto stream = [&] {
    return tensor::MatrixView(activation_arena_->take(shape_.rows() * config_.width), shape_.rows(),
                              config_.width);
  };
  const tensor::SavedVisitor place([&](std::string_view, void*, Index rows, Index cols, FloatType type) {
    return activation_arena_->take(rows * cols, type);
  });
  const std::size_t last = layers_.size() - 1;
  if (purpose_ == Purpose::inference) {
    const tensor::MatrixView ends[] = {stream(), stream()};
    for (std::size_t i = 0; i < last; ++i) stream_.push_back(ends[i % 2]);
  } else {
    for (std::size_t i = 0; i < last; ++i) stream_.push_back(stream());
    for (tensor::MatrixView& view : d_stream_) view = stream();
  }
  if (purpose_ == Purpose::training) return visit_saved(layers_, shape_, place);
  if (purpose_ == Purpose::recomputing) layers_[last]->visit_saved(shape_, place);
  const std::size_t inside = activation_arena_->mark();
  for (std::size_t i = 0; i < (purpose_ == Purpose::recomputing ? last : last + 1); ++i) {
    activation_arena_->rewind(inside);
    layers_[i]->visit_saved(shape_, place);
  }
}

Gpt::~Gpt() = default;

MemoryPlan Gpt::plan(const ModelConfig& config, BatchShape shape, const nn::Products& products,
                     const kernels::KernelTable& table, int threads, Purpose purpose, const Freeze& freeze) {
  const Layers layers = measured_layers(config, products_for(purpose, products));
  MemoryPlan plan;
  plan.frozen = freeze_parameters(layers, freeze);
  plan.parameters = parameter_bytes(layers);
  plan.gradients = purpose != Purpose::inference ? plan.parameters : 0;
  plan.packed = packed_bytes(layers, table) + nn::RotaryAngles::bytes(config.context, config.rotary_pairs());
  plan.activations = activation_bytes(layers, shape, config.width, purpose);
  plan.scratch = scratch_for(layers, table, threads, shape, purpose);
  return plan;
}

std::size_t Gpt::scratch_bytes(const kernels::KernelTable& table, int threads) const {
  return scratch_for(layers_, table, threads, shape_, purpose_);
}

std::size_t Gpt::memory_bytes(const ModelConfig& config, KeyValueType type, Index rows) {
  std::size_t bytes = 0;
  const tensor::MemoryVisitor measure = [&](std::string_view, void* now, Index count, std::size_t row_bytes) {
    bytes += kernels::round_up_to_cache_line(static_cast<std::size_t>(count) * row_bytes);
    return now;
  };
  for (const auto& layer : measured_layers(config, {})) layer->visit_memory({rows, type}, measure);
  return bytes;
}

void Gpt::place_memory(const nn::MemoryShape& shape, const tensor::MemoryVisitor& v) {
  for (const auto& layer : layers_) layer->visit_memory(shape, v);
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
  values_changed();
}

void Gpt::zero_gradients(ExecContext& ctx) {
  kernels::zero(ctx, gradients().data(), static_cast<Index>(gradients().size()));
}

namespace {

// The part of a full-size view that a smaller batch uses.
tensor::MatrixView first_rows(tensor::MatrixView view, Index rows) {
  view.rows = rows;
  return view;
}

}  // namespace

void Gpt::run_forward(ExecContext& ctx, const nn::Batch& batch, std::size_t layers) {
  LOGLOG_CHECK(batch.shape.rows() <= shape_.rows(), "{} tokens, room for {}", batch.shape.rows(),
               shape_.rows());
  if (batch.shape.batch != placed_.batch || batch.shape.time != placed_.time) {
    // The saved views take the shape of this batch; the memory stays where it is.
    visit_saved(
        layers_, batch.shape,
        tensor::SavedVisitor([](std::string_view, void* now, Index, Index, FloatType) { return now; }));
    placed_ = batch.shape;
  }
  if (!packed_) {
    for (const auto& layer : layers_) layer->pack_weights(ctx);
    packed_ = true;
  }
  const Index rows = batch.shape.rows();
  tensor::MatrixView in;
  for (std::size_t i = 0; i < layers; ++i) {
    const tensor::MatrixView out = i < stream_.size() ? first_rows(stream_[i], rows) : tensor::MatrixView();
    layers_[i]->forward(ctx, batch, out, in);
    in = out;
  }
}

nn::Batch Gpt::place_documents(nn::Batch batch, const nn::Documents& documents) const {
  if (documents.rows.empty()) return batch;
  LOGLOG_CHECK(shape_.documents && documents.positions != nullptr, "documents: room {}, positions {}",
               shape_.documents, documents.positions != nullptr);
  batch.documents = documents.rows;
  batch.positions = documents.positions;
  return batch;
}

void Gpt::forward(ExecContext& ctx, Index batch, const Token* tokens, const Token* targets, float* losses,
                  const nn::Documents& documents, nn::Probe* probe) {
  nn::Batch all{{batch, shape_.time}, tokens, targets, positions_.data(), losses, 1.0f, false};
  all.probe = probe;
  run_forward(ctx, place_documents(all, documents), layers_.size());
}

void Gpt::forward(ExecContext& ctx, const NewTokens& batch) {
  const std::size_t rows = batch.tokens.size(), wanted = batch.rows.size();
  const bool fits =
      batch.logits.data != nullptr
          ? batch.logits.rows == static_cast<Index>(wanted) && batch.logits.cols == config_.vocab
          : batch.targets.size() == wanted && batch.losses.size() == wanted;
  LOGLOG_CHECK(purpose_ == Purpose::inference && batch.positions.size() == rows && fits,
               "{} tokens, {} positions, {} rows wanted, {} targets, {} losses, logits {}x{}", rows,
               batch.positions.size(), wanted, batch.targets.size(), batch.losses.size(), batch.logits.rows,
               batch.logits.cols);
  nn::Batch all{{static_cast<Index>(rows), 1},
                batch.tokens.data(),
                batch.targets.data(),
                batch.positions.data(),
                batch.losses.data()};
  all.continued = batch.sequences;
  all.head_rows = batch.rows;
  all.logits = batch.logits;
  run_forward(ctx, all, wanted > 0 ? layers_.size() : layers_.size() - 1);
}

void Gpt::forward_backward(ExecContext& ctx, Index batch, const Token* tokens, const Token* targets,
                           float scale, float* losses, const TrainingPass& pass) {
  nn::Batch micro{{batch, shape_.time}, tokens, targets, positions_.data(), losses, scale, true};
  micro.z_weight = pass.z_weight;
  micro.dropout = pass.dropout;
  micro = place_documents(micro, pass.documents);
  LOGLOG_CHECK(purpose_ != Purpose::inference, "a backward pass of a model for inference");
  run_forward(ctx, micro, layers_.size());
  const Index rows = micro.shape.rows();
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const tensor::MatrixView in = i > 0 ? first_rows(stream_[i - 1], rows) : tensor::MatrixView();
    // What this block kept, the blocks behind it have written over. The last one still has its own.
    if (purpose_ == Purpose::recomputing && i > 0 && i + 2 < layers_.size())
      layers_[i]->forward(ctx, micro, first_rows(stream_[i], rows), in);
    layers_[i]->backward(ctx, micro, first_rows(d_stream_[i % 2], rows),
                         first_rows(d_stream_[(i + 1) % 2], rows), in);
  }
}

}  // namespace loglog::model
