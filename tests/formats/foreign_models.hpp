// Small models of every architecture, with values of their own, for the tests of formats.
#pragma once
#include <algorithm>

#include "base/rng.hpp"
#include "formats/imported.hpp"

namespace loglog::testing {

inline model::ModelConfig small_gpt2() {
  model::ModelConfig m{.layers = 2, .width = 12, .heads = 3, .context = 7, .vocab = 11};
  m.mlp_width = 48;
  return m;
}
inline model::ModelConfig small_opt() {
  model::ModelConfig m = small_gpt2();
  m.mlp = "relu", m.mlp_width = 20;
  return m;
}
inline model::ModelConfig small_neox() {
  model::ModelConfig m = small_gpt2();
  m.position = "rope", m.rope_share = 0.5, m.block = "parallel", m.mlp = "gelu-erf", m.tied = false,
  m.mlp_width = 20;
  return m;
}
inline model::ModelConfig small_llama() {
  model::ModelConfig m = small_gpt2();
  m.width = 16, m.heads = 4, m.kv_heads = 2;
  m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.mlp_width = 20, m.bias = false, m.tied = false;
  return m;
}
inline model::ModelConfig small_qwen2() {
  model::ModelConfig m = small_llama();
  m.qkv_bias = true, m.tied = true;
  return m;
}

// No two of its values are alike but by chance, none is 0.
inline std::unique_ptr<model::Gpt> filled_gpt(model::ModelConfig m) {
  auto gpt = formats::make_holder(formats::completed(m, "test").model);
  for (std::size_t k = 0; k < gpt->parameters().size(); ++k) {
    const tensor::Parameter& p = gpt->parameters()[k].tensor;
    const Rng rng(9, k);
    for (formats::Index i = 0; i < p.size(); ++i)
      p.value[i] = static_cast<float>(rng.normal(static_cast<std::uint64_t>(i)));
  }
  return gpt;
}

inline std::vector<float> values_of(const model::Gpt& gpt) {
  return {gpt.values().begin(), gpt.values().end()};
}

}  // namespace loglog::testing
