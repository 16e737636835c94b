// GPT-2 (Radford et al. 2019). Its matrices are of Conv1D, stored (in, out) as ours are.
#include <fmt/format.h>

#include "formats/architecture.hpp"

namespace loglog::formats {
namespace {

void read(const HfConfig& c, ModelConfig& m) {
  m.layers = c.whole("n_layer", 1, kMostLayers);
  m.width = c.whole("n_embd", 1, kMostWidth);
  m.heads = c.whole("n_head", 1, kMostHeads);
  m.context = c.whole("n_positions", 1, kMostContext);
  m.vocab = c.whole("vocab_size", 1, kMostVocab);
  m.mlp_width = c.whole_or("n_inner", 4 * m.width, 1, kMostHidden);
  m.mlp = activation_from(c, "activation_function", "gelu_new");
  m.norm_epsilon = c.epsilon_or("layer_norm_epsilon", 1e-5);
  c.require_flag("scale_attn_weights", true, true,
                 "scores that are not divided by the root of the head size");
  c.require_flag("scale_attn_by_inverse_layer_idx", false, false,
                 "scores that are divided by the layer's number");
  c.require_flag("add_cross_attention", false, false, "attention to an encoder");
}

std::string obstacle(const ModelConfig& m) {
  return layernorm_obstacles(m)
      .needs("model.position", m.position, "learned")
      .needs("model.block", m.block, "serial")
      .first();
}

void write(const ModelConfig& m, Json& c) {
  c["n_layer"] = m.layers;
  c["n_embd"] = m.width;
  c["n_head"] = m.heads;
  c["n_inner"] = m.hidden();
  c["n_positions"] = m.context;
  c["n_ctx"] = m.context;
  c["vocab_size"] = m.vocab;
  c["activation_function"] = activation_to(m.mlp);
  c["layer_norm_epsilon"] = m.norm_epsilon;
}

std::vector<TensorMap> tensors(const ModelConfig& m) {
  TensorMaps maps;
  const auto conv1d = [&](const std::string& theirs, const std::string& ours, Index in, Index out) {
    maps.matrix(theirs + ".weight", ours + ".weight", in, out);
    maps.vector(theirs + ".bias", ours + ".bias", out);
  };
  const Index width = m.width, hidden = m.hidden();
  maps.matrix("wte.weight", "embedding.token", m.vocab, width);
  maps.matrix("wpe.weight", "embedding.position", m.context, width);
  for (Index i = 0; i < m.layers; ++i) {
    const std::string h = fmt::format("h.{}.", i);
    maps.norm(h + "ln_1", block_name(i, "attention.norm"), width, true);
    conv1d(h + "attn.c_attn", block_name(i, "attention.qkv"), width, 3 * width);
    conv1d(h + "attn.c_proj", block_name(i, "attention.out"), width, width);
    maps.norm(h + "ln_2", block_name(i, "mlp.norm"), width, true);
    conv1d(h + "mlp.c_fc", block_name(i, "mlp.up"), width, hidden);
    conv1d(h + "mlp.c_proj", block_name(i, "mlp.down"), hidden, width);
  }
  maps.norm("ln_f", "head.norm", width, true);
  return maps.take();
}

// Causal masks.
bool is_buffer(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
}

}  // namespace

const Architecture& gpt2() {
  static constexpr Architecture kGpt2 = {.model_type = "gpt2",
                                         .class_name = "GPT2LMHeadModel",
                                         .prefix = "transformer.",
                                         .head = "lm_head.weight",
                                         .usually_tied = true,
                                         .read = read,
                                         .obstacle = obstacle,
                                         .write = write,
                                         .tensors = tensors,
                                         .is_buffer = is_buffer};
  return kGpt2;
}

}  // namespace loglog::formats
