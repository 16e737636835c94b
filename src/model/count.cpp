#include "model/count.hpp"

namespace loglog::model {

ParameterCounts count_parameters(const ModelConfig& m) {
  const auto l = static_cast<double>(m.layers);
  const auto c = static_cast<double>(m.width);
  const auto hidden = static_cast<double>(m.hidden());
  const auto v = static_cast<double>(m.vocab);
  const auto t = static_cast<double>(m.context);
  const double qkv = c * 3 * c;
  const double out = c * c;
  const double up_down = 2 * c * hidden;
  ParameterCounts counts;
  counts.n_nonemb = l * (qkv + out + up_down);
  counts.n_matrix = counts.n_nonemb + v * c;
  const double gains = (2 * l + 1) * c;
  const double biases =
      m.bias ? l * (3 * c + c + hidden + c) + (2 * l + 1) * c : 0.0;  // of linear layers, of norms
  const double embeddings = (v + t) * c;
  const double own_head = m.tied ? 0.0 : v * c;
  counts.n_total = counts.n_nonemb + gains + biases + embeddings + own_head;
  return counts;
}

FlopCounts count_flops_per_token(const ModelConfig& m) {
  const ParameterCounts n = count_parameters(m);
  // A query meets T keys, T/2 on average behind the causal mask. Scores and mixing are 2 C per pair each,
  // forward; twice that again backward: 3 * (2 + 2) * C * T / 2 = 6 C T per layer.
  const double causal =
      6.0 * static_cast<double>(m.layers) * static_cast<double>(m.context) * static_cast<double>(m.width);
  return {6 * n.n_nonemb, 6 * n.n_total, 6 * n.n_matrix + causal, 6 * n.n_matrix + 2 * causal};
}

}  // namespace loglog::model
