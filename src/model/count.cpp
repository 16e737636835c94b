#include "model/count.hpp"

#include <algorithm>

namespace loglog::model {

ParameterCounts count_parameters(const ModelConfig& m) {
  const auto l = static_cast<double>(m.layers);
  const auto c = static_cast<double>(m.width);
  const auto hidden = static_cast<double>(m.hidden());
  const auto v = static_cast<double>(m.vocab);
  const auto t = static_cast<double>(m.context);
  const double qkv_width = c + 2 * static_cast<double>(m.kv_width());
  const double up_width = m.is_gated() ? 2 * hidden : hidden;
  ParameterCounts counts;
  counts.n_nonemb = l * (c * qkv_width + c * c + c * up_width + hidden * c);
  counts.n_matrix = counts.n_nonemb + v * c;
  const double norms = m.norm == "none" ? 0.0 : l * (m.has_mlp() ? 2 : 1) + 1;
  const double gains = norms * c + (m.qk_norm ? 2 * l * static_cast<double>(m.head_size()) : 0.0);
  const double norm_biases = m.norm == "layernorm" ? norms * c : 0.0;
  const double qkv_biases = m.has_qkv_bias() ? l * qkv_width : 0.0;
  const double biases =
      qkv_biases + (m.bias ? l * (c + up_width + (m.has_mlp() ? c : 0.0)) + norm_biases : 0.0);
  const double embeddings = (v + (m.position == "learned" ? t : 0.0)) * c;
  const double own_head = m.tied ? 0.0 : v * c;
  counts.n_total = counts.n_nonemb + gains + biases + embeddings + own_head;
  return counts;
}

FlopCounts count_flops_per_token(const ModelConfig& m) {
  const ParameterCounts n = count_parameters(m);
  // Scores and mixing are 2 C per pair of a query and a key each, forward; twice that again backward: 12 C per pair and layer.
  // mfu: T pairs per query. math: as many as the mask leaves, T/2 where it is causal.
  const auto t = static_cast<double>(m.context), span = std::min(static_cast<double>(m.mask_span), t);
  double pairs = t / 2;
  if (m.mask == "full") pairs = t;
  if (m.mask == "prefix") pairs = (t * t + span * span) / (2 * t);  // causal, and the prefix' other triangle
  if (m.mask == "window")
    pairs = span * (2 * t - span) / (2 * t);  // causal but for the first span tokens' lack of any
  const double per_pair = 12.0 * static_cast<double>(m.layers) * static_cast<double>(m.width);
  return {6 * n.n_nonemb, 6 * n.n_total, 6 * n.n_matrix + per_pair * pairs, 6 * n.n_matrix + per_pair * t};
}

}  // namespace loglog::model
