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

template <class S>
Matrix<S> norm_ref(const Parameters<S>& p, const std::string& name, const Matrix<S>& in, double epsilon) {
  const Matrix<S>& gain = p.at(name + ".gain");
  const auto bias = p.find(name + ".bias");
  Matrix<S> out(in.rows, in.cols);
  S mean, rstd;
  for (Index i = 0; i < in.rows; ++i)
    kernels::reference::layernorm_ref(&out(i, 0), mean, rstd, &in(i, 0), gain.values.data(),
                                      bias != p.end() ? bias->second.values.data() : nullptr, in.cols,
                                      epsilon);
  return out;
}

template <class S>
Matrix<S> mlp_ref(const Parameters<S>& p, const std::string& name, const Matrix<S>& in, double epsilon) {
  Matrix<S> hidden = linear_ref(p, name + ".up", norm_ref(p, name + ".norm", in, epsilon));
  for (S& x : hidden.values) x = kernels::reference::gelu_ref(x);
  return sum(linear_ref(p, name + ".down", hidden), in);
}

// The columns first.. of rows row.., as a matrix of its own.
template <class S>
Matrix<S> block_of(const Matrix<S>& in, Index row, Index rows, Index first, Index cols) {
  Matrix<S> out(rows, cols);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) out(i, j) = in(row + i, first + j);
  return out;
}

template <class S>
Matrix<S> attention_ref(const Parameters<S>& p, const std::string& name, const Matrix<S>& in, Index time,
                        Index heads, double epsilon) {
  const Index width = in.cols, head_size = width / heads;
  const Matrix<S> qkv = linear_ref(p, name + ".qkv", norm_ref(p, name + ".norm", in, epsilon));
  Matrix<S> mixed(in.rows, width), one(time, head_size);
  std::vector<S> lse(static_cast<std::size_t>(time));
  for (Index row = 0; row < in.rows; row += time) {
    for (Index column = 0; column < width; column += head_size) {
      const auto part = [&](Index k) { return block_of(qkv, row, time, k * width + column, head_size); };
      kernels::reference::attention_ref(one.values.data(), lse.data(), part(0).values.data(),
                                        part(1).values.data(), part(2).values.data(),
                                        {time, time, head_size});
      for (Index t = 0; t < time; ++t)
        for (Index d = 0; d < head_size; ++d) mixed(row + t, column + d) = one(t, d);
    }
  }
  return sum(linear_ref(p, name + ".out", mixed), in);
}

template <class S>
Matrix<S> embedding_ref(const Parameters<S>& p, const std::vector<std::int32_t>& tokens, Index time) {
  const Matrix<S>& token = p.at("embedding.token");
  const Matrix<S>& position = p.at("embedding.position");
  Matrix<S> out(static_cast<Index>(tokens.size()), token.cols);
  for (Index r = 0; r < out.rows; ++r)
    for (Index j = 0; j < out.cols; ++j)
      out(r, j) = token(tokens[static_cast<std::size_t>(r)], j) + position(r % time, j);
  return out;
}

template <class S>
std::vector<S> head_ref(const Parameters<S>& p, const Matrix<S>& in, const std::vector<std::int32_t>& targets,
                        double epsilon) {
  const auto own = p.find("head.weight");
  const Matrix<S>& weight = own != p.end() ? own->second : p.at("embedding.token");
  const Matrix<S> logits = multiply(norm_ref(p, "head.norm", in, epsilon), transpose(weight));
  std::vector<S> losses;
  for (Index r = 0; r < logits.rows; ++r)
    losses.push_back(kernels::reference::cross_entropy_ref(&logits(r, 0), logits.cols,
                                                           targets[static_cast<std::size_t>(r)]));
  return losses;
}

// A layer of the reference: stream in, stream out, `name` as in the parameters.
template <class S>
using LayerRef =
    std::function<Matrix<S>(const Parameters<S>& p, const std::string& name, const Matrix<S>& in)>;

template <class S>
LayerRef<S> block_ref(const model::ModelConfig& m, Index time) {
  return [&m, time](const Parameters<S>& p, const std::string& name, const Matrix<S>& in) {
    const Matrix<S> mid = attention_ref(p, name + ".attention", in, time, m.heads, double(m.norm_epsilon));
    return mlp_ref(p, name + ".mlp", mid, double(m.norm_epsilon));
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
  return head_ref(p, stream, targets, double(m.norm_epsilon));
}

}  // namespace loglog::testing
