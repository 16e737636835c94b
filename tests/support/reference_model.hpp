// The model once more, put together from kernels/reference on any scalar: the truth for layers and whole
// models. With Complex it gives derivatives (complex_step.hpp), with double values.
//
// Parameters are found by the names that nn and model give them.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "kernels/reference/attention.hpp"
#include "kernels/reference/gemm.hpp"
#include "kernels/reference/rowwise.hpp"
#include "model/config.hpp"

namespace loglog::testing {

using kernels::Index;

template <class S>
struct Matrix {
  Index rows = 0;
  Index cols = 0;
  std::vector<S> values;

  Matrix() = default;
  Matrix(Index r, Index c) : rows(r), cols(c), values(static_cast<std::size_t>(r * c)) {}
  S& operator()(Index i, Index j) { return values[static_cast<std::size_t>(i * cols + j)]; }
  const S& operator()(Index i, Index j) const { return values[static_cast<std::size_t>(i * cols + j)]; }
};

template <class S>
using Parameters = std::map<std::string, Matrix<S>>;

template <class S>
Matrix<S> multiply(const Matrix<S>& a, const Matrix<S>& b) {
  LOGLOG_CHECK(a.cols == b.rows, "{} columns, {} rows", a.cols, b.rows);
  Matrix<S> c(a.rows, b.cols);
  kernels::reference::gemm_ref(c.values.data(), a.values.data(), b.values.data(), a.rows, b.cols, a.cols);
  return c;
}

template <class S>
Matrix<S> transpose(const Matrix<S>& a) {
  Matrix<S> t(a.cols, a.rows);
  for (Index i = 0; i < a.rows; ++i)
    for (Index j = 0; j < a.cols; ++j) t(j, i) = a(i, j);
  return t;
}

template <class S>
Matrix<S> sum(Matrix<S> a, const Matrix<S>& b) {
  for (std::size_t i = 0; i < a.values.size(); ++i) a.values[i] += b.values[i];
  return a;
}

template <class S>
Matrix<S> linear_ref(const Parameters<S>& p, const std::string& name, const Matrix<S>& in) {
  Matrix<S> out = multiply(in, p.at(name + ".weight"));
  if (const auto bias = p.find(name + ".bias"); bias != p.end())
    for (Index i = 0; i < out.rows; ++i)
      for (Index j = 0; j < out.cols; ++j) out(i, j) += bias->second(0, j);
  return out;
}

// Of the kind that the configuration names; `in` itself where the parameters have no gain.
template <class S>
Matrix<S> norm_ref(const Parameters<S>& p, const std::string& name, const Matrix<S>& in,
                   const model::ModelConfig& m) {
  const auto gain = p.find(name + ".gain"), bias = p.find(name + ".bias");
  if (gain == p.end()) return in;
  Matrix<S> out(in.rows, in.cols);
  const double epsilon = double(m.norm_epsilon);
  S mean, rstd;
  for (Index i = 0; i < in.rows; ++i) {
    if (m.norm == "rmsnorm")
      kernels::reference::rmsnorm_ref(&out(i, 0), rstd, &in(i, 0), gain->second.values.data(), in.cols,
                                      epsilon);
    else
      kernels::reference::layernorm_ref(&out(i, 0), mean, rstd, &in(i, 0), gain->second.values.data(),
                                        bias != p.end() ? bias->second.values.data() : nullptr, in.cols,
                                        epsilon);
  }
  return out;
}

template <class S>
S activation_ref(const std::string& mlp, S x) {
  if (mlp == "relu" || mlp == "reglu") return kernels::reference::relu_ref(x);
  if (mlp == "silu" || mlp == "swiglu") return kernels::reference::silu_ref(x);
  if (mlp == "gelu-erf") return kernels::reference::gelu_erf_ref(x);
  return kernels::reference::gelu_ref(x);
}

// What a perceptron adds to the stream.
template <class S>
Matrix<S> mlp_ref(const Parameters<S>& p, const std::string& name, const Matrix<S>& in,
                  const model::ModelConfig& m) {
  const Matrix<S> up =
      linear_ref(p, name + (m.is_gated() ? ".gate_up" : ".up"), norm_ref(p, name + ".norm", in, m));
  const Index hidden = m.is_gated() ? up.cols / 2 : up.cols;
  Matrix<S> activation(in.rows, hidden);
  for (Index i = 0; i < in.rows; ++i)
    for (Index j = 0; j < hidden; ++j)
      activation(i, j) = activation_ref(m.mlp, up(i, j)) * (m.is_gated() ? up(i, hidden + j) : S(1));
  return linear_ref(p, name + ".down", activation);
}

// The columns first.. of rows row.., as a matrix of its own.
template <class S>
Matrix<S> block_of(const Matrix<S>& in, Index row, Index rows, Index first, Index cols) {
  Matrix<S> out(rows, cols);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) out(i, j) = in(row + i, first + j);
  return out;
}

// `heads` heads of queries or keys of one sequence, normalised and turned as the configuration says.
template <class S>
Matrix<S> placed_heads_ref(const Parameters<S>& p, const std::string& norm, Matrix<S> x, Index heads,
                           const model::ModelConfig& m) {
  const Index size = x.cols / heads;
  const auto gain = p.find(norm + ".gain");
  for (Index t = 0; t < x.rows; ++t) {
    for (Index h = 0; h < heads; ++h) {
      S* const head = &x(t, h * size);
      std::vector<S> before(head, head + size);
      S rstd;
      if (gain != p.end()) {
        kernels::reference::rmsnorm_ref(head, rstd, before.data(), gain->second.values.data(), size,
                                        double(m.norm_epsilon));
        before.assign(head, head + size);
      }
      if (m.position == "rope")
        kernels::reference::rotary_ref(head, before.data(), size, m.rotary_pairs(), false, double(t),
                                       m.rope_base);
    }
  }
  return x;
}

inline kernels::AttentionMask mask_ref(const model::ModelConfig& m) {
  if (m.mask == "prefix") return {.prefix = m.mask_span};
  if (m.mask == "window") return {.window = m.mask_span};
  return m.mask == "full" ? kernels::AttentionMask{.prefix = kernels::kUnlimited} : kernels::AttentionMask{};
}

// What attention adds to the stream.
template <class S>
Matrix<S> attention_ref(const Parameters<S>& p, const std::string& name, const Matrix<S>& in, Index time,
                        const model::ModelConfig& m) {
  const Index width = in.cols, kv = m.kv_width();
  const Matrix<S> qkv = linear_ref(p, name + ".qkv", norm_ref(p, name + ".norm", in, m));
  Matrix<S> mixed(in.rows, width), one(time, width);
  std::vector<S> lse(static_cast<std::size_t>(time * m.heads));
  for (Index row = 0; row < in.rows; row += time) {
    const Matrix<S> q = placed_heads_ref(p, name + ".q_norm", block_of(qkv, row, time, 0, width), m.heads, m);
    const Matrix<S> k =
        placed_heads_ref(p, name + ".k_norm", block_of(qkv, row, time, width, kv), m.key_heads(), m);
    const Matrix<S> v = block_of(qkv, row, time, width + kv, kv);
    kernels::reference::attention_ref(one.values.data(), lse.data(), q.values.data(), k.values.data(),
                                      v.values.data(),
                                      {time, time, m.head_size(), m.heads, m.key_heads(), mask_ref(m)});
    for (Index t = 0; t < time; ++t)
      for (Index j = 0; j < width; ++j) mixed(row + t, j) = one(t, j);
  }
  return linear_ref(p, name + ".out", mixed);
}

template <class S>
Matrix<S> embedding_ref(const Parameters<S>& p, const std::vector<std::int32_t>& tokens, Index time) {
  const Matrix<S>& token = p.at("embedding.token");
  const auto position = p.find("embedding.position");
  Matrix<S> out(static_cast<Index>(tokens.size()), token.cols);
  for (Index r = 0; r < out.rows; ++r)
    for (Index j = 0; j < out.cols; ++j)
      out(r, j) = token(tokens[static_cast<std::size_t>(r)], j) +
                  (position != p.end() ? position->second(r % time, j) : S(0));
  return out;
}

template <class S>
std::vector<S> head_ref(const Parameters<S>& p, const Matrix<S>& in, const std::vector<std::int32_t>& targets,
                        const model::ModelConfig& m, double z_weight = 0) {
  const auto own = p.find("head.weight");
  const Matrix<S>& weight = own != p.end() ? own->second : p.at("embedding.token");
  const Matrix<S> logits = multiply(norm_ref(p, "head.norm", in, m), transpose(weight));
  std::vector<S> losses;
  for (Index r = 0; r < logits.rows; ++r) {
    const Index target = targets[static_cast<std::size_t>(r)];
    const S loss = kernels::reference::cross_entropy_ref(&logits(r, 0), logits.cols, target);
    const S level = loss + logits(r, target);  // log of the sum of exponentials
    losses.push_back(loss + S(z_weight) * level * level);
  }
  return losses;
}

// A layer of the reference: stream in, stream out, `name` as in the parameters.
template <class S>
using LayerRef =
    std::function<Matrix<S>(const Parameters<S>& p, const std::string& name, const Matrix<S>& in)>;

template <class S>
LayerRef<S> block_ref(const model::ModelConfig& m, Index time) {
  return [&m, time](const Parameters<S>& p, const std::string& name, const Matrix<S>& in) {
    const Matrix<S> mid = sum(attention_ref(p, name + ".attention", in, time, m), in);
    if (!m.has_mlp()) return mid;
    return sum(mlp_ref(p, name + ".mlp", m.block == "parallel" ? in : mid, m), mid);
  };
}

// Losses of a model whose middle layers are `layers`, in nats per target.
template <class S>
std::vector<S> losses_ref(const Parameters<S>& p, const model::ModelConfig& m,
                          const std::vector<LayerRef<S>>& layers, const std::vector<std::int32_t>& tokens,
                          const std::vector<std::int32_t>& targets, Index time) {
  Matrix<S> stream = embedding_ref(p, tokens, time);
  for (std::size_t i = 0; i < layers.size(); ++i)
    stream = layers[i](p, "blocks." + std::to_string(i), stream);
  return head_ref(p, stream, targets, m);
}

}  // namespace loglog::testing
