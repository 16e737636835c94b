#include "model/count.hpp"

#include <algorithm>

namespace loglog::model {

namespace {

// The lines of a part of the model that is there `times` times.
class Lines {
 public:
  Lines(std::vector<Operation>& all, double times) : all_(all), times_(times) {}

  // No product, but trained.
  void vector(const std::string& name, Index size) { table(name, 1, size); }
  void table(const std::string& name, Index rows, Index cols) {
    all_.push_back({name, Factors::none, times_, static_cast<double>(rows * cols)});
  }
  void norm(const std::string& name, const ModelConfig& m) {
    if (m.norm == "none") return;
    vector(name + ".gain", m.width);
    if (m.norm == "layernorm" && m.bias) vector(name + ".bias", m.width);
  }
  // Activations times a matrix of `weights` numbers, of which `trained` are trained here.
  void product(const std::string& name, Factors factors, Index weights, Index trained) {
    const double flops = 2 * static_cast<double>(weights);
    all_.push_back({name, factors, times_, static_cast<double>(trained), flops, flops, flops});
  }
  void linear(const std::string& name, Index in, Index out, bool bias) {
    product(name + ".weight", Factors::block_weight, in * out, in * out);
    if (bias) vector(name + ".bias", out);
  }
  // Each of the heads' C elements meets one of every key.
  void attention(const std::string& name, Index width) { product(name, Factors::activations, width, 0); }

 private:
  std::vector<Operation>& all_;
  double times_;
};

double flops_of(const Operation& o) {
  return o.times * (o.forward + o.d_left + o.d_right);
}

// Numbers of the matrix that a product is with.
double matrix_of(const Operation& o) {
  return o.times * o.forward / 2;
}

}  // namespace

// The order of the forward pass.
std::vector<Operation> list_operations(const ModelConfig& m) {
  std::vector<Operation> all;
  Lines embedding(all, 1);
  embedding.table("embedding.token", m.vocab, m.width);
  if (m.position == "learned") embedding.table("embedding.position", m.context, m.width);

  Lines block(all, static_cast<double>(m.layers));
  block.norm("attention.norm", m);
  block.linear("attention.qkv", m.width, m.width + 2 * m.kv_width(), m.has_qkv_bias());
  if (m.qk_norm) {
    block.vector("attention.q_norm.gain", m.head_size());
    block.vector("attention.k_norm.gain", m.head_size());
  }
  block.attention("attention.scores", m.width);  // queries keys^T
  block.attention("attention.mixed", m.width);   // softmax(scores) values
  block.linear("attention.out", m.width, m.width, m.bias);
  if (m.has_mlp()) {
    block.norm("mlp.norm", m);
    if (m.is_gated())
      block.linear("mlp.gate_up", m.width, 2 * m.hidden(), m.bias);
    else
      block.linear("mlp.up", m.width, m.hidden(), m.bias);
    block.linear("mlp.down", m.hidden(), m.width, m.bias);
  }

  Lines head(all, 1);
  head.norm("head.norm", m);
  head.product("head.weight", Factors::head_weight, m.vocab * m.width, m.tied ? 0 : m.vocab * m.width);
  return all;
}

double keys_met(const ModelConfig& m) {
  const auto t = static_cast<double>(m.context), span = std::min(static_cast<double>(m.mask_span), t);
  if (m.mask == "full") return t;
  if (m.mask == "prefix") return (t * t + span * span) / (2 * t);  // causal, and the prefix' other triangle
  if (m.mask == "window")
    return span * (2 * t - span) / (2 * t);  // causal but for the first span tokens' lack of any
  return t / 2;
}

ParameterCounts count_parameters(const ModelConfig& m) {
  ParameterCounts counts;
  for (const Operation& o : list_operations(m)) {
    const bool is_head = o.factors == Factors::head_weight;
    if (o.factors == Factors::block_weight) counts.n_nonemb += matrix_of(o);
    if (o.factors == Factors::block_weight || is_head) counts.n_matrix += matrix_of(o);
    counts.n_total += o.times * o.parameters;
  }
  return counts;
}

FlopCounts count_flops_per_token(const ModelConfig& m) {
  FlopCounts counts;
  double per_key = 0;  // kept apart, so that one rounding follows the exact sums whatever the mask
  for (const Operation& o : list_operations(m)) {
    if (o.factors == Factors::block_weight) counts.kaplan += flops_of(o);
    counts.n6d += 6 * o.times * o.parameters;
    (o.factors == Factors::activations ? per_key : counts.math) += flops_of(o);
  }
  counts.mfu = counts.math + per_key * static_cast<double>(m.context);
  counts.math += per_key * keys_met(m);
  return counts;
}

}  // namespace loglog::model
