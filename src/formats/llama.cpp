// Llama (Touvron et al. 2023) and those like it: RMSNorm, rotary positions on whole heads, a gated perceptron, no biases, or, in Qwen2,
// biases of queries, keys and values alone.
#include <fmt/format.h>

#include "formats/architecture.hpp"
#include "formats/rope.hpp"

namespace loglog::formats {
namespace {

std::string gated(const HfConfig& c) {
  const std::string mlp = activation_from(c, "hidden_act", "silu");
  if (mlp == "silu") return "swiglu";
  if (mlp == "gelu") return "geglu";
  if (mlp == "relu") return "reglu";
  c.refuse("hidden_act", "'gelu', the form with erf, is not covered as a gate; 'gelu_pytorch_tanh' is");
}

std::string activation_of_gate(const std::string& mlp) {
  if (mlp == "swiglu") return "silu";
  return mlp == "geglu" ? "gelu_pytorch_tanh" : "relu";
}

void read_common(const HfConfig& c, ModelConfig& m) {
  read_sizes(c, "intermediate_size", m);
  m.kv_heads = c.whole_or("num_key_value_heads", m.heads, 1, kMostHeads);
  m.norm = "rmsnorm";
  m.norm_epsilon = c.epsilon_or("rms_norm_eps", 1e-6);
  m.mlp = gated(c);
  m.bias = false;
  read_rope(c, {.base_key = "rope_theta", .share_key = "partial_rotary_factor"}, m);
  if (m.rope_share != 1) c.refuse("partial_rotary_factor", "heads that turn in part are not covered here");
  const Index size = c.whole_or("head_dim", m.head_size(), 1, kMostWidth);
  if (size * m.heads != m.width) {
    c.refuse("head_dim", fmt::format("{} is not covered: {} heads of it are not hidden_size ({})", size,
                                     m.heads, m.width));
  }
}

void read_llama(const HfConfig& c, ModelConfig& m) {
  read_common(c, m);
  c.require_flag("attention_bias", false, false, "biases in attention");
  c.require_flag("mlp_bias", false, false, "biases in the perceptron");
}

// A window that no sequence of the context leaves is none. What a smaller one means has changed between versions of the library (the
// token itself counted or not), so none is covered.
void read_mistral(const HfConfig& c, ModelConfig& m) {
  read_common(c, m);
  const Index window = c.whole_or("sliding_window", m.context, 1, kMostContext);
  if (window < m.context) {
    c.refuse("sliding_window", fmt::format("{} is not covered: a window below max_position_embeddings ({})",
                                           window, m.context));
  }
}

void read_qwen2(const HfConfig& c, ModelConfig& m) {
  read_common(c, m);
  m.qkv_bias = true;
  c.require_flag("use_sliding_window", false, false, "windows in some of the layers");
  c.has("sliding_window"), c.has("max_window_layers"), c.has("layer_types");  // without meaning then
}

Obstacles common_obstacles(const ModelConfig& m) {
  return usual_obstacles(m)
      .needs("model.norm", m.norm, "rmsnorm")
      .needs("model.bias", m.bias, false)
      .needs("model.position", m.position, "rope")
      .needs("model.rope_share", m.rope_share, 1.0)
      .needs("the number of elements of a head that turn", 2 * m.rotary_pairs(), turning_elements(m))
      .needs("model.block", m.block, "serial")
      .needs_one_of("model.mlp", m.mlp, {"swiglu", "geglu", "reglu"});
}

std::string obstacle_llama(const ModelConfig& m) {
  return common_obstacles(m)
      .needs("model.qkv_bias", m.qkv_bias, false)
      .needs("model.mask", m.mask, "causal")
      .first();
}
std::string obstacle_qwen2(const ModelConfig& m) {
  return common_obstacles(m)
      .needs("model.qkv_bias", m.qkv_bias, true)
      .needs("model.mask", m.mask, "causal")
      .first();
}

void write(const ModelConfig& m, Json& c) {
  write_sizes(m, "intermediate_size", c);
  c["num_key_value_heads"] = m.key_heads();
  c["hidden_act"] = activation_of_gate(m.mlp);
  c["rms_norm_eps"] = m.norm_epsilon;
  c["rope_theta"] = m.rope_base;
}

void write_mistral(const ModelConfig& m, Json& c) {
  write(m, c);
  c["sliding_window"] = nullptr;  // absent would mean 4096
}

std::vector<TensorMap> tensors(const ModelConfig& m) {
  TensorMaps maps;
  const Index width = m.width, kv = m.kv_width(), hidden = m.hidden();
  maps.matrix("embed_tokens.weight", "embedding.token", m.vocab, width);
  for (Index i = 0; i < m.layers; ++i) {
    const std::string layer = fmt::format("layers.{}.", i), attention = layer + "self_attn.",
                      mlp = layer + "mlp.";
    const std::string qkv = block_name(i, "attention.qkv"), gate_up = block_name(i, "mlp.gate_up");
    maps.norm(layer + "input_layernorm", block_name(i, "attention.norm"), width, false);
    maps.linear(attention + "q_proj", qkv, {width, width, m.qkv_bias});
    maps.linear(attention + "k_proj", qkv, {width, kv, m.qkv_bias, width});
    maps.linear(attention + "v_proj", qkv, {width, kv, m.qkv_bias, width + kv});
    maps.linear(attention + "o_proj", block_name(i, "attention.out"), {width, width, false});
    maps.norm(layer + "post_attention_layernorm", block_name(i, "mlp.norm"), width, false);
    maps.linear(mlp + "gate_proj", gate_up, {width, hidden, false});
    maps.linear(mlp + "up_proj", gate_up, {width, hidden, false, hidden});
    maps.linear(mlp + "down_proj", block_name(i, "mlp.down"), {hidden, width, false});
  }
  maps.norm("norm", "head.norm", width, false);
  return maps.take();
}

bool is_buffer(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq");  // the table of wave lengths
}

constexpr Architecture like_llama(std::string_view model_type, std::string_view class_name,
                                  decltype(Architecture::read) read,
                                  decltype(Architecture::obstacle) obstacle,
                                  decltype(Architecture::write) write) {
  return {.model_type = model_type,
          .class_name = class_name,
          .prefix = "model.",
          .head = "lm_head.weight",
          .usually_tied = false,
          .read = read,
          .obstacle = obstacle,
          .write = write,
          .tensors = tensors,
          .is_buffer = is_buffer};
}

constexpr Architecture kLlamas[] = {
    like_llama("llama", "LlamaForCausalLM", read_llama, obstacle_llama, write),
    like_llama("mistral", "MistralForCausalLM", read_mistral, obstacle_llama, write_mistral),
    like_llama("qwen2", "Qwen2ForCausalLM", read_qwen2, obstacle_qwen2, write),
};

}  // namespace

std::span<const Architecture> llamas() {
  return kLlamas;
}

}  // namespace loglog::formats
