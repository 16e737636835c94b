#include "formats/architecture.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace loglog::formats {
namespace {

struct ActivationName {
  std::string_view theirs, ours;
};
// The first of each of ours is the one that is written. gelu_fast and gelu_pytorch_tanh are the tanh form in other words.
constexpr ActivationName kActivations[] = {
    {"gelu_new", "gelu"},  {"gelu_pytorch_tanh", "gelu"},
    {"gelu_fast", "gelu"}, {"gelu", "gelu-erf"},
    {"relu", "relu"},      {"silu", "silu"},
    {"swish", "silu"},
};

}  // namespace

std::vector<const Architecture*> architectures() {
  std::vector<const Architecture*> all = {&gpt2(), &opt(), &gpt_neox()};
  for (const Architecture& a : llamas()) all.push_back(&a);
  return all;
}

std::vector<TensorMap> tensor_maps(const Architecture& a, const ModelConfig& m) {
  std::vector<TensorMap> maps = a.tensors(m);
  for (TensorMap& map : maps) map.theirs.insert(0, a.prefix);
  if (!m.tied) {
    TensorMaps head;
    head.matrix(std::string(a.head), "head.weight", m.vocab, m.width);
    maps.push_back(std::move(head.take().front()));
  }
  return maps;
}

std::string activation_from(const HfConfig& config, const std::string& key, const std::string& usual) {
  const std::string name = config.text_or(key, usual);
  const auto* found = std::ranges::find(kActivations, name, &ActivationName::theirs);
  if (found != std::end(kActivations)) return std::string(found->ours);
  std::vector<std::string_view> known;
  for (const ActivationName& a : kActivations) known.push_back(a.theirs);
  config.refuse(key, fmt::format("activation '{}' is not covered; known: {}", name, fmt::join(known, ", ")));
}

std::string activation_to(const std::string& mlp) {
  return std::string(std::ranges::find(kActivations, mlp, &ActivationName::ours)->theirs);
}

void Obstacles::note(std::string_view key, const std::string& value, const std::string& wanted) {
  first_ = fmt::format("{} is {}, there it is {}", key, value, wanted);
}

Obstacles& Obstacles::needs_one_of(std::string_view key, const std::string& value,
                                   std::initializer_list<std::string_view> wanted) {
  if (first_.empty() && std::ranges::find(wanted, value) == wanted.end())
    note(key, value, fmt::format("{}", fmt::join(wanted, " or ")));
  return *this;
}

Obstacles usual_obstacles(const ModelConfig& m) {
  Obstacles o;
  o.needs("model.mask", m.mask, "causal").needs("model.qk_norm", m.qk_norm, false);
  return o;
}

Obstacles layernorm_obstacles(const ModelConfig& m) {
  return usual_obstacles(m)
      .needs("model.norm", m.norm, "layernorm")
      .needs("model.bias", m.bias, true)
      .needs("model.kv_heads", m.key_heads(), m.heads)
      .needs_one_of("model.mlp", m.mlp, {"gelu", "gelu-erf", "relu", "silu"});
}

void read_sizes(const HfConfig& c, const std::string& mlp_key, ModelConfig& m) {
  m.layers = c.whole("num_hidden_layers", 1, kMostLayers);
  m.width = c.whole("hidden_size", 1, kMostWidth);
  m.heads = c.whole("num_attention_heads", 1, kMostHeads);
  m.context = c.whole("max_position_embeddings", 1, kMostContext);
  m.vocab = c.whole("vocab_size", 1, kMostVocab);
  m.mlp_width = c.whole(mlp_key, 1, kMostHidden);
}

void write_sizes(const ModelConfig& m, const std::string& mlp_key, Json& c) {
  c["num_hidden_layers"] = m.layers;
  c["hidden_size"] = m.width;
  c["num_attention_heads"] = m.heads;
  c["max_position_embeddings"] = m.context;
  c["vocab_size"] = m.vocab;
  c[mlp_key] = m.hidden();
}

std::string block_name(Index i, std::string_view name) {
  return fmt::format("blocks.{}.{}", i, name);
}

}  // namespace loglog::formats
