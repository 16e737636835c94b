// OPT (Zhang et al. 2022). Its table of positions begins with two rows that are for padding: position t has row t + 2.
#include <fmt/format.h>

#include "formats/architecture.hpp"

namespace loglog::formats {
namespace {

constexpr Index kPositionOffset = 2;
constexpr float kEpsilon = 1e-5f;  // PyTorch's; config.json has no key for it

void read(const HfConfig& c, ModelConfig& m) {
  read_sizes(c, "ffn_dim", m);
  m.mlp = activation_from(c, "activation_function", "relu");
  m.norm_epsilon = kEpsilon;
  c.require_flag("do_layer_norm_before", true, true, "norms behind the branches (OPT-350m)");
  c.require_flag("_remove_final_layer_norm", false, false, "a head without its norm");
  c.require_flag("enable_bias", true, true, "a model whose norms alone have biases");
  c.require_flag("layer_norm_elementwise_affine", true, true, "norms without gain");
  const Index projected = c.whole_or("word_embed_proj_dim", m.width, 1, kMostWidth);
  if (projected != m.width) {
    c.refuse("word_embed_proj_dim",
             fmt::format("{} is not covered: embeddings of another width than hidden_size ({})", projected,
                         m.width));
  }
}

std::string obstacle(const ModelConfig& m) {
  return layernorm_obstacles(m)
      .needs("model.norm_epsilon", m.norm_epsilon, kEpsilon)
      .needs("model.position", m.position, "learned")
      .needs("model.block", m.block, "serial")
      .first();
}

void write(const ModelConfig& m, Json& c) {
  write_sizes(m, "ffn_dim", c);
  c["word_embed_proj_dim"] = m.width;
  c["activation_function"] = activation_to(m.mlp);
  c["do_layer_norm_before"] = true;
}

std::vector<TensorMap> tensors(const ModelConfig& m) {
  TensorMaps maps;
  const Index width = m.width, hidden = m.hidden();
  maps.matrix("decoder.embed_tokens.weight", "embedding.token", m.vocab, width);
  maps.matrix("decoder.embed_positions.weight", "embedding.position", m.context + kPositionOffset, width)
      .skipped_rows = kPositionOffset;
  for (Index i = 0; i < m.layers; ++i) {
    const std::string layer = fmt::format("decoder.layers.{}.", i), attention = layer + "self_attn.";
    maps.norm(layer + "self_attn_layer_norm", block_name(i, "attention.norm"), width, true);
    Index column = 0;
    for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
      maps.linear(attention + part, block_name(i, "attention.qkv"), {width, width, true, column});
      column += width;
    }
    maps.linear(attention + "out_proj", block_name(i, "attention.out"), {width, width, true});
    maps.norm(layer + "final_layer_norm", block_name(i, "mlp.norm"), width, true);
    maps.linear(layer + "fc1", block_name(i, "mlp.up"), {width, hidden, true});
    maps.linear(layer + "fc2", block_name(i, "mlp.down"), {hidden, width, true});
  }
  maps.norm("decoder.final_layer_norm", "head.norm", width, true);
  return maps.take();
}

bool is_buffer(std::string_view) {
  return false;
}

}  // namespace

const Architecture& opt() {
  static constexpr Architecture kOpt = {.model_type = "opt",
                                        .class_name = "OPTForCausalLM",
                                        .prefix = "model.",
                                        .head = "lm_head.weight",
                                        .usually_tied = true,
                                        .read = read,
                                        .obstacle = obstacle,
                                        .write = write,
                                        .tensors = tensors,
                                        .is_buffer = is_buffer};
  return kOpt;
}

}  // namespace loglog::formats
