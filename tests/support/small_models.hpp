// Small models with values that matter (nothing near its initial 0 or 1), their batches, and the comparison
// of gradients with the complex step on the reference.
#pragma once
#include "base/rng.hpp"
#include "kernels/isa.hpp"
#include "model/gpt.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/complex_step.hpp"
#include "support/reference_model.hpp"

namespace loglog::testing {

// Tokens in 0..vocab-1, the same for every caller.
inline std::vector<std::int32_t> some_tokens(Index count, Index vocab, std::uint64_t stream) {
  const Rng rng(4, stream);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<std::int32_t>(rng.below(i, static_cast<std::uint64_t>(vocab)));
  return tokens;
}

// A model with its environment and one batch.
struct SmallModel {
  model::ModelConfig config;
  model::Gpt gpt;
  kernels::Scratch scratch;
  kernels::ExecContext ctx;
  std::vector<std::int32_t> tokens, targets;
  std::vector<float> losses;

  SmallModel(const model::ModelConfig& m, nn::BatchShape shape, const kernels::KernelTable& table,
             int threads = 1, const nn::Products& products = {})
      : SmallModel(m, shape, table, threads, model::gpt_layers(m, products)) {}
  SmallModel(const model::ModelConfig& m, nn::BatchShape shape, const kernels::KernelTable& table,
             int threads, model::Layers layers)
      : config(m),
        gpt(m, shape, std::move(layers)),
        scratch(gpt.scratch_bytes(table, threads)),
        ctx{table, threads, scratch},
        tokens(some_tokens(shape.rows(), m.vocab, 1)),
        targets(some_tokens(shape.rows(), m.vocab, 2)),
        losses(static_cast<std::size_t>(shape.rows())) {
    for (std::size_t k = 0; k < gpt.parameters().size(); ++k) {
      const model::NamedParameter& p = gpt.parameters()[k];
      const Rng rng(5, k);
      for (Index i = 0; i < p.tensor.size(); ++i)
        p.tensor.value[i] =
            p.initial.mean + 0.3f * static_cast<float>(rng.normal(static_cast<std::uint64_t>(i)));
    }
  }

  void forward() { gpt.forward(ctx, gpt.shape().batch, tokens.data(), targets.data(), losses.data()); }
  void forward_backward(float scale) {
    gpt.forward_backward(ctx, gpt.shape().batch, tokens.data(), targets.data(), scale, losses.data());
  }
  std::vector<float> gradients() const { return {gpt.gradients().begin(), gpt.gradients().end()}; }
  std::vector<float> values() const { return {gpt.values().begin(), gpt.values().end()}; }
};

template <class S>
Parameters<S> reference_parameters(const model::Gpt& gpt) {
  Parameters<S> all;
  for (const model::NamedParameter& p : gpt.parameters()) {
    Matrix<S>& m = all[p.name] = Matrix<S>(p.tensor.rows, p.tensor.cols);
    for (std::size_t i = 0; i < m.values.size(); ++i) m.values[i] = double(p.tensor.value[i]);
  }
  return all;
}

// Rounding of one element of a gradient, as a share of the largest in its tensor. On the longest path from a
// parameter to the loss and back every layer sums C, T, C, C and 4C products forward and as many backward,
// and the head C and V; a sum of K products loses at most K u of its magnitude (gemm.hpp). The gradient
// itself sums over the rows.
inline double gradient_tolerance(const model::ModelConfig& m, nn::BatchShape shape, Index layers) {
  const Index per_layer = 2 * (m.width + shape.time + m.width + m.width + m.hidden());
  return double(layers * per_layer + 2 * (m.width + m.vocab) + shape.rows()) * kUnitRoundoff;
}

// Gradients of scale * sum of losses in `small` against `layers`, tensor by tensor: the derivative along the
// gradient itself, and up to `elements` single ones.
inline void require_gradients(SmallModel& small, const std::vector<LayerRef<Complex>>& layers, double scale,
                              Index elements) {
  const model::Gpt& gpt = small.gpt;
  Parameters<Complex> all = reference_parameters<Complex>(gpt);
  const auto derivative = [&] {
    Complex total{};
    for (const Complex& loss :
         losses_ref(all, small.config, layers, small.tokens, small.targets, gpt.shape().time))
      total += loss;
    return scale * total.imag() / kComplexStep;
  };
  const double tolerance = gradient_tolerance(small.config, gpt.shape(), static_cast<Index>(layers.size()));
  for (const model::NamedParameter& p : gpt.parameters()) {
    INFO(p.name);
    std::vector<Complex>& z = all.at(p.name).values;
    double largest = 0.0, norm = 0.0;
    for (Index i = 0; i < p.tensor.size(); ++i) {
      largest = std::max(largest, std::abs(double(p.tensor.gradient[i])));
      norm += double(p.tensor.gradient[i]) * double(p.tensor.gradient[i]);
    }
    REQUIRE(norm > 0.0);
    for (Index i = 0; i < p.tensor.size(); ++i) z[i].imag(kComplexStep * double(p.tensor.gradient[i]));
    const double along = derivative();  // |g|^2 when g is the gradient
    for (Complex& x : z) x.imag(0.0);
    CHECK(compare(1, [&](Index) { return Element{norm, along, tolerance * norm}; }));

    const Index count = std::min(elements, p.tensor.size());
    std::vector<Element> some;
    for (Index k = 0; k < count; ++k) {
      const Index i = k * p.tensor.size() / count;
      z[i].imag(kComplexStep);
      some.push_back({double(p.tensor.gradient[i]), derivative(), tolerance * largest});
      z[i].imag(0.0);
    }
    CHECK(compare(count, [&](Index k) { return some[static_cast<std::size_t>(k)]; }));
  }
}

}  // namespace loglog::testing
