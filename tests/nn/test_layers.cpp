// Each layer alone: its output against the reference in double, every gradient against the complex step.
// Parameter gradients start at 1 and must accumulate; saved values, outputs and input gradients start as NaN
// and must be overwritten.
#include <deque>
#include <limits>

#include "kernels/rowwise/sums.hpp"
#include "nn/attention.hpp"
#include "nn/embedding.hpp"
#include "nn/loss_head.hpp"
#include "nn/mlp.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/complex_step.hpp"
#include "support/isa.hpp"
#include "support/random_inputs.hpp"
#include "support/reference_model.hpp"

using namespace loglog;
using namespace loglog::testing;
using nn::Index;

namespace {

constexpr nn::BatchShape kShape{3, 7};  // neither is a multiple of a vector or a tile
constexpr Index kWidth = 12, kHeads = 3, kHidden = 20, kVocab = 11;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Two sums of at most kHidden products follow each other four times, forward and backward, and a parameter
// gradient sums over the rows: see gradient_tolerance in small_models.hpp.
constexpr double kTolerance = (8.0 * kHidden + 3.0 * kShape.time * kShape.batch) * kUnitRoundoff;

// Memory for what a layer lists. Vectors of a deque stay where they are.
class Placed {
 public:
  nn::ParameterVisitor parameters(const std::string& prefix) {
    return [this, prefix](std::string_view name, nn::Parameter& p, Index rows, Index cols, tensor::Decay,
                          tensor::Initial initial) {
      const std::vector<double> noise =
          normal_values(static_cast<std::size_t>(rows * cols), blocks_.size(), 0.4);
      std::vector<float>& value = block(rows * cols, 0.0f);
      for (std::size_t i = 0; i < noise.size(); ++i) value[i] = initial.mean + static_cast<float>(noise[i]);
      p = {value.data(), block(rows * cols, 1.0f).data(), rows, cols};
      all_.emplace_back(prefix + "." + std::string(name), p);
    };
  }
  nn::SavedVisitor saved() {
    return nn::SavedVisitor([this](std::string_view, void*, Index rows, Index cols, nn::FloatType type) {
      REQUIRE(type == nn::FloatType::float32);
      return matrix(rows, cols).data;
    });
  }
  nn::MatrixView matrix(Index rows, Index cols) { return {block(rows * cols, kNaN).data(), rows, cols}; }
  const std::vector<std::pair<std::string, nn::Parameter>>& all() const { return all_; }

  Parameters<Complex> reference() const {
    Parameters<Complex> result;
    for (const auto& [name, p] : all_) {
      Matrix<Complex>& m = result[name] = Matrix<Complex>(p.rows, p.cols);
      for (Index i = 0; i < p.size(); ++i) m.values[static_cast<std::size_t>(i)] = double(p.value[i]);
    }
    return result;
  }

 private:
  std::vector<float>& block(Index count, float fill) {
    return blocks_.emplace_back(static_cast<std::size_t>(count), fill);
  }
  std::deque<std::vector<float>> blocks_;
  std::vector<std::pair<std::string, nn::Parameter>> all_;
};

void fill_normal(nn::MatrixView view, std::uint64_t stream) {
  const std::vector<double> x = normal_values(static_cast<std::size_t>(view.rows * view.cols), stream);
  for (std::size_t i = 0; i < x.size(); ++i) view.data[i] = static_cast<float>(x[i]);
}

Matrix<Complex> reference_of(nn::ConstMatrixView view) {
  Matrix<Complex> m(view.rows, view.cols);
  for (Index i = 0; i < view.rows; ++i)
    for (Index j = 0; j < view.cols; ++j) m(i, j) = double(view.row(i)[j]);
  return m;
}

// got[i] - start against d objective / d z[i], for every i.
template <class Objective>
void require_derivatives(const float* got, double start, std::vector<Complex>& z, Objective&& objective) {
  std::vector<double> exact;
  double largest = start;
  for (Complex& x : z) {
    x.imag(kComplexStep);
    exact.push_back(objective().imag() / kComplexStep);
    x.imag(0.0);
    largest = std::max(largest, std::abs(exact.back()));
  }
  CHECK(compare(static_cast<Index>(z.size()), [&](Index i) {
    return Element{double(got[i]), start + exact[static_cast<std::size_t>(i)], kTolerance * largest};
  }));
}

std::vector<std::int32_t> positions_of(nn::BatchShape shape) {
  std::vector<std::int32_t> positions;
  for (Index r = 0; r < shape.rows(); ++r) positions.push_back(static_cast<std::int32_t>(r % shape.time));
  return positions;
}

// What the reference needs to know of a layer.
model::ModelConfig small_config() {
  return {.width = kWidth, .heads = kHeads, .context = kShape.time, .vocab = kVocab};
}

Complex weighted_sum(const Matrix<Complex>& out, const Matrix<Complex>& weights) {
  Complex total{};
  for (std::size_t i = 0; i < out.values.size(); ++i) total += out.values[i] * weights.values[i];
  return total;
}

// forward(out, in), backward(d_in, d_out, in) against reference(parameters, in), all (B*T, C).
template <class Forward, class Backward, class Reference>
void require_layer(Placed& placed, Forward&& forward, Backward&& backward, Reference&& reference) {
  const nn::MatrixView in = placed.matrix(kShape.rows(), kWidth), out = placed.matrix(kShape.rows(), kWidth);
  const nn::MatrixView d_in = placed.matrix(kShape.rows(), kWidth),
                       d_out = placed.matrix(kShape.rows(), kWidth);
  fill_normal(in, 101);
  fill_normal(d_out, 102);
  forward(out, in);
  Parameters<Complex> p = placed.reference();
  Matrix<Complex> x = reference_of(in);
  const Matrix<Complex> weights = reference_of(d_out), expected = reference(p, x);
  double largest = 0.0;
  for (const Complex& value : expected.values) largest = std::max(largest, std::abs(value));
  REQUIRE(compare(out.rows * out.cols, [&](Index i) {
    return Element{out.data[i], expected.values[static_cast<std::size_t>(i)].real(), kTolerance * largest};
  }));

  backward(d_in, d_out, in);
  const auto objective = [&] { return weighted_sum(reference(p, x), weights); };
  require_derivatives(d_in.data, 0.0, x.values, objective);
  for (const auto& [name, parameter] : placed.all()) {
    INFO(name);
    require_derivatives(parameter.gradient, 1.0, p.at(name).values, objective);
  }
}

template <class Sublayer, class Reference>
void require_sublayer(Sublayer&& layer, Reference&& reference) {
  Placed placed;
  layer.visit_parameters(placed.parameters("layer"));
  layer.visit_saved(kShape, placed.saved());
  kernels::Scratch scratch(layer.scratch_bytes(test_table(), 1, kShape));
  nn::ExecContext ctx{test_table(), 1, scratch};
  const std::vector<std::int32_t> positions = positions_of(kShape);
  const nn::Batch batch{.shape = kShape, .positions = positions.data(), .backward = true};
  require_layer(
      placed, [&](nn::MatrixView out, nn::MatrixView in) { layer.forward(ctx, batch, out, in, in); },
      [&](nn::MatrixView d_in, nn::ConstMatrixView d_out, nn::ConstMatrixView in) {
        layer.backward(ctx, batch, d_in, d_out, d_out, in);
      },
      [&](const Parameters<Complex>& p, const Matrix<Complex>& in) { return sum(reference(p, in), in); });
}

}  // namespace

TEST_CASE("norm") {
  const bool bias = GENERATE(true, false);
  const auto kind = GENERATE(nn::NormKind::layernorm, nn::NormKind::rmsnorm, nn::NormKind::none);
  Placed placed;
  nn::NormParams params{{kind, bias}, {}, {}};
  nn::NormSaved saved;
  visit(params, kWidth, placed.parameters("layer"));
  visit(saved, params.config, kShape.rows(), placed.saved());
  kernels::Scratch scratch(kernels::rowwise_scratch_bytes(test_table(), 1, kShape.rows(), kWidth));
  nn::ExecContext ctx{test_table(), 1, scratch};
  const std::size_t gains = kind == nn::NormKind::none ? 0 : 1;
  REQUIRE(placed.all().size() == gains + (kind == nn::NormKind::layernorm && bias ? 1 : 0));
  model::ModelConfig config = small_config();
  config.norm = kind == nn::NormKind::rmsnorm ? "rmsnorm" : "layernorm";
  require_layer(
      placed, [&](nn::MatrixView out, nn::ConstMatrixView in) { norm_forward(ctx, out, saved, in, params); },
      [&](nn::MatrixView d_in, nn::ConstMatrixView d_out, nn::ConstMatrixView in) {
        norm_backward(ctx, d_in, d_out, saved, in, params);
      },
      [&](const Parameters<Complex>& p, const Matrix<Complex>& in) {
        return norm_ref(p, "layer", in, config);
      });
}

TEST_CASE("linear") {
  const bool bias = GENERATE(true, false);
  Placed placed;
  nn::LinearParams params;
  visit(params, kWidth, kWidth, bias, 0.02f, placed.parameters("layer"));
  kernels::Scratch scratch(
      nn::linear_scratch_bytes(test_table(), 1, nn::FloatType::float32, kShape.rows(), kWidth, kWidth));
  nn::ExecContext ctx{test_table(), 1, scratch};
  require_layer(
      placed, [&](nn::MatrixView out, nn::ConstMatrixView in) { linear_forward(ctx, out, in, params); },
      [&](nn::MatrixView d_in, nn::ConstMatrixView d_out, nn::ConstMatrixView in) {
        linear_backward_parameters(ctx, params, d_out, in);
        linear_backward_input(ctx, d_in, params, d_out);
      },
      [](const Parameters<Complex>& p, const Matrix<Complex>& in) { return linear_ref(p, "layer", in); });
}

TEST_CASE("attention sublayer") {
  model::ModelConfig m = small_config();
  nn::AttentionConfig config{.width = kWidth, .heads = kHeads, .kv_heads = kHeads};
  config.bias = GENERATE(true, false);
  config.qkv_bias = GENERATE(true, false);
  SECTION("plain") {}
  SECTION("multi-query") {
    config.kv_heads = m.kv_heads = 1;
  }
  SECTION("norms of queries and keys") {
    config.qk_norm = true;
  }
  SECTION("rotary positions, all of a head, with norms and fewer keys") {
    m.position = "rope";
    config.qk_norm = true;
    config.kv_heads = m.kv_heads = 1;
    config.rotary = std::make_shared<nn::RotaryAngles>(kShape.time, m.rotary_pairs(), m.rope_base,
                                                       kernels::RotaryPairing::halves);
  }
  SECTION("rotary positions, half of a head") {
    m.position = "rope";
    m.rope_share = 0.5;
    config.rotary = std::make_shared<nn::RotaryAngles>(kShape.time, m.rotary_pairs(), m.rope_base,
                                                       kernels::RotaryPairing::halves);
  }
  SECTION("a window") {
    m.mask = "window";
    m.mask_span = 3;
    config.mask = kernels::AttentionMask::window_of(3);
  }
  SECTION("a prefix") {
    m.mask = "prefix";
    m.mask_span = 4;
    config.mask = kernels::AttentionMask::prefix_of(4);
  }
  require_sublayer(nn::AttentionSublayer(config),
                   [&](const Parameters<Complex>& p, const Matrix<Complex>& in) {
                     return attention_ref(p, "layer", in, kShape.time, m);
                   });
}

TEST_CASE("perceptron sublayer") {
  model::ModelConfig m = small_config();
  nn::MlpConfig config{.width = kWidth, .hidden = kHidden};
  config.bias = GENERATE(true, false);
  using kernels::Activation;
  const auto& [name, activation] =
      GENERATE(std::pair<const char*, Activation>{"gelu", Activation::gelu},
               std::pair<const char*, Activation>{"gelu-erf", Activation::gelu_erf},
               std::pair<const char*, Activation>{"relu", Activation::relu},
               std::pair<const char*, Activation>{"silu", Activation::silu},
               std::pair<const char*, Activation>{"swiglu", Activation::silu},
               std::pair<const char*, Activation>{"geglu", Activation::gelu},
               std::pair<const char*, Activation>{"reglu", Activation::relu});
  INFO(name);
  m.mlp = name;
  config.activation = activation;
  config.gated = m.is_gated();
  require_sublayer(nn::MlpSublayer(config), [&](const Parameters<Complex>& p, const Matrix<Complex>& in) {
    return mlp_ref(p, "layer", in, m);
  });
}

TEST_CASE("embedding") {
  const Index context = kShape.time + 2;  // sequences shorter than the context use the first positions
  const bool learned = GENERATE(true, false);
  nn::Embedding layer({kVocab, kWidth, learned ? context : 0, 0.02f});
  Placed placed;
  layer.visit_parameters(placed.parameters("embedding"));
  kernels::Scratch scratch(layer.scratch_bytes(test_table(), 1, kShape));
  nn::ExecContext ctx{test_table(), 1, scratch};
  std::vector<nn::Token> tokens(static_cast<std::size_t>(kShape.rows()));
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<nn::Token>(i * i % kVocab);
  const std::vector<std::int32_t> positions = positions_of(kShape);
  const nn::Batch batch{.shape = kShape, .tokens = tokens.data(), .positions = positions.data()};
  const nn::MatrixView out = placed.matrix(kShape.rows(), kWidth),
                       d_out = placed.matrix(kShape.rows(), kWidth);
  fill_normal(d_out, 103);
  layer.forward(ctx, batch, out, {});
  layer.backward(ctx, batch, {}, d_out, {});
  Parameters<Complex> p = placed.reference();
  const Matrix<Complex> expected = embedding_ref(p, tokens, kShape.time), weights = reference_of(d_out);
  REQUIRE(compare(out.rows * out.cols, [&](Index i) {
    const double exact = expected.values[static_cast<std::size_t>(i)].real();
    return Element{out.data[i], exact, kUnitRoundoff * std::abs(exact)};
  }));
  for (const auto& [name, parameter] : placed.all()) {
    INFO(name);
    require_derivatives(parameter.gradient, 1.0, p.at(name).values,
                        [&] { return weighted_sum(embedding_ref(p, tokens, kShape.time), weights); });
  }
}

TEST_CASE("loss head") {
  nn::LossHead layer({.vocab = kVocab, .width = kWidth, .initial_sd = 0.02f}, nullptr);
  const model::ModelConfig config = small_config();
  Placed placed;
  layer.visit_parameters(placed.parameters("head"));
  layer.visit_saved(kShape, placed.saved());
  kernels::Scratch scratch(layer.scratch_bytes(test_table(), 1, kShape));
  nn::ExecContext ctx{test_table(), 1, scratch};
  std::vector<nn::Token> targets(static_cast<std::size_t>(kShape.rows()));
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i] = static_cast<nn::Token>((3 * i + 1) % kVocab);
  std::vector<float> losses(targets.size(), kNaN), losses_alone(targets.size(), kNaN);
  const float scale = 0.25f;
  const nn::MatrixView in = placed.matrix(kShape.rows(), kWidth), d_in = placed.matrix(kShape.rows(), kWidth);
  fill_normal(in, 104);
  layer.forward(ctx, {.shape = kShape, .targets = targets.data(), .losses = losses_alone.data()}, {}, in);
  const float z_weight = GENERATE(0.0f, 0.2f);
  nn::Batch batch{
      .shape = kShape, .targets = targets.data(), .losses = losses.data(), .scale = scale, .backward = true};
  batch.z_weight = z_weight;
  layer.forward(ctx, batch, {}, in);
  layer.backward(ctx, batch, d_in, {}, in);
  REQUIRE(compare_equal(losses, losses_alone));

  Parameters<Complex> p = placed.reference();
  Matrix<Complex> x = reference_of(in);
  const std::vector<Complex> exact = head_ref(p, x, targets, config);
  REQUIRE(compare(kShape.rows(), [&](Index i) {
    const auto r = static_cast<std::size_t>(i);
    return Element{losses[r], exact[r].real(), kTolerance * (1.0 + exact[r].real())};
  }));
  const auto objective = [&] {
    Complex total{};
    for (const Complex& loss : head_ref(p, x, targets, config, double(z_weight)))
      total += double(scale) * loss;
    return total;
  };
  require_derivatives(d_in.data, 0.0, x.values, objective);
  for (const auto& [name, parameter] : placed.all()) {
    INFO(name);
    require_derivatives(parameter.gradient, 1.0, p.at(name).values, objective);
  }
}
