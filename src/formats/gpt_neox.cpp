// GPT-NeoX (Black et al. 2022; Pythia): rotary positions on a share of each head, two norms in a parallel block, queries, keys and values
// packed head by head.
#include <fmt/format.h>

#include "formats/architecture.hpp"
#include "formats/rope.hpp"

namespace loglog::formats {
namespace {

void read(const HfConfig& c, ModelConfig& m) {
  read_sizes(c, "intermediate_size", m);
  m.mlp = activation_from(c, "hidden_act", "gelu");
  m.norm_epsilon = c.epsilon_or("layer_norm_eps", 1e-5);
  m.block = c.flag_or("use_parallel_residual", true) ? "parallel" : "serial";
  read_rope(c, {.base_key = "rotary_emb_base", .share_key = "rotary_pct", .usual_share = 0.25}, m);
  c.require_flag("attention_bias", true, true, "attention without biases in a model that has others");
}

std::string obstacle(const ModelConfig& m) {
  return layernorm_obstacles(m)
      .needs("model.position", m.position, "rope")
      .needs("the number of elements of a head that turn", 2 * m.rotary_pairs(), turning_elements(m))
      .first();
}

void write(const ModelConfig& m, Json& c) {
  write_sizes(m, "intermediate_size", c);
  c["hidden_act"] = activation_to(m.mlp);
  c["layer_norm_eps"] = m.norm_epsilon;
  c["use_parallel_residual"] = m.block == "parallel";
  c["rotary_emb_base"] = m.rope_base;
  c["rotary_pct"] = m.rope_share;
}

std::vector<TensorMap> tensors(const ModelConfig& m) {
  TensorMaps maps;
  const Index width = m.width, hidden = m.hidden();
  const TensorMaps::Linear qkv{.in = width,
                               .out = 3 * width,
                               .bias = true,
                               .order = HeadOrder::packed_qkv,
                               .heads = m.heads,
                               .head_size = m.head_size()};
  maps.matrix("embed_in.weight", "embedding.token", m.vocab, width);
  for (Index i = 0; i < m.layers; ++i) {
    const std::string layer = fmt::format("layers.{}.", i);
    maps.norm(layer + "input_layernorm", block_name(i, "attention.norm"), width, true);
    maps.linear(layer + "attention.query_key_value", block_name(i, "attention.qkv"), qkv);
    maps.linear(layer + "attention.dense", block_name(i, "attention.out"), {width, width, true});
    maps.norm(layer + "post_attention_layernorm", block_name(i, "mlp.norm"), width, true);
    maps.linear(layer + "mlp.dense_h_to_4h", block_name(i, "mlp.up"), {width, hidden, true});
    maps.linear(layer + "mlp.dense_4h_to_h", block_name(i, "mlp.down"), {hidden, width, true});
  }
  maps.norm("final_layer_norm", "head.norm", width, true);
  return maps.take();
}

// Causal masks and the table of wave lengths.
bool is_buffer(std::string_view name) {
  return name.ends_with(".attention.bias") || name.ends_with(".attention.masked_bias") ||
         name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace

const Architecture& gpt_neox() {
  static constexpr Architecture kGptNeoX = {.model_type = "gpt_neox",
                                            .class_name = "GPTNeoXForCausalLM",
                                            .prefix = "gpt_neox.",
                                            .head = "embed_out.weight",
                                            .usually_tied = false,
                                            .read = read,
                                            .obstacle = obstacle,
                                            .write = write,
                                            .tensors = tensors,
                                            .is_buffer = is_buffer};
  return kGptNeoX;
}

}  // namespace loglog::formats
