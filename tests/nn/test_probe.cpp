// What a probe sees of a forward pass: every place in its order, what is really there, and that a change of it counts.
#include "nn/probe.hpp"

#include <cmath>

#include "support/isa.hpp"
#include "support/small_models.hpp"

using namespace loglog;
using namespace loglog::testing;
using nn::Place;
using nn::Site;

namespace {

// Keeps the order of what is seen, as "site.layer", and a copy of each.
class Seen : public nn::Probe {
 public:
  void stream(kernels::ExecContext&, Place place, tensor::MatrixView x) override {
    note(place, tensor::ConstFloatView(x));
  }
  void input(kernels::ExecContext&, Place place, const tensor::FloatView& x) override {
    note(place, tensor::ConstFloatView(x));
  }
  void attention(kernels::ExecContext&, Index layer, const nn::SeenAttention&) override {
    order.push_back("attention." + std::to_string(layer));
  }
  std::vector<std::string> order;
  std::map<Place, Matrix<double>> at;

 private:
  void note(Place place, const tensor::ConstFloatView& x) {
    order.push_back(std::string(name_of(place.site)) + "." + std::to_string(place.layer));
    Matrix<double>& m = at[place] = Matrix<double>(x.rows, x.cols);
    for (Index i = 0; i < x.rows; ++i)
      for (Index j = 0; j < x.cols; ++j) {
        const Index element = i * x.row_stride + j;
        m(i, j) = x.type == kernels::FloatType::float32
                      ? double(static_cast<const float*>(x.data)[element])
                      : double(kernels::to_float(static_cast<const kernels::bf16*>(x.data)[element]));
      }
  }
};

void forward(SmallModel& small, nn::Probe* probe) {
  small.gpt.forward(small.ctx, small.gpt.shape().batch, small.tokens.data(), small.targets.data(),
                    small.losses.data(), {}, probe);
}

model::ModelConfig variant(int number) {
  model::ModelConfig m{.layers = 2, .width = 16, .heads = 4, .context = 9, .vocab = 13};
  switch (number) {
    case 0:
      break;
    case 1:  // Llama's
      m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.bias = false, m.tied = false,
      m.kv_heads = 2;
      break;
    case 2:
      m.block = "parallel", m.position = "rope", m.rope_share = 0.5, m.mlp = "gelu-erf";
      break;
    case 3:
      m.mlp = "none", m.qk_norm = true;
      break;
    default:
      m.mask = "window", m.mask_span = 3, m.kv_heads = 1;
  }
  return m;
}
constexpr int kVariants = 5;

// Whole numbers alone: no norm, no softmax that mixes (one token), ReLU. Everything is exact in float32.
model::ModelConfig whole_numbers() {
  model::ModelConfig m{.layers = 2, .width = 8, .heads = 2, .context = 1, .vocab = 5};
  m.norm = "none", m.position = "none", m.mlp = "relu", m.mlp_width = 6;
  return m;
}
void fill_with_whole_numbers(SmallModel& small) {
  for (std::size_t k = 0; k < small.gpt.parameters().size(); ++k) {
    const tensor::Parameter& p = small.gpt.parameters()[k].tensor;
    const Rng rng(6, k);
    for (Index i = 0; i < p.size(); ++i)
      p.value[i] = static_cast<float>(rng.below(static_cast<std::uint64_t>(i), 3)) - 1.0f;
  }
  small.gpt.values_changed();
}

// Multiplies one input by a factor.
class Scale final : public Seen {
 public:
  Scale(Place place, float factor) : place_(place), factor_(factor) {}
  void input(kernels::ExecContext& ctx, Place place, const tensor::FloatView& x) override {
    if (place == place_)
      for (Index i = 0; i < x.rows; ++i)
        for (Index j = 0; j < x.cols; ++j) x.as<float>().row(i)[j] *= factor_;
    Seen::input(ctx, place, x);
  }

 private:
  Place place_;
  float factor_;
};

bool equal(const Matrix<double>& a, const Matrix<double>& b) {
  return compare_equal(a.values, b.values).passed;
}

}  // namespace

TEST_CASE("every place is seen once, in the order of the pass") {
  const auto order_of = [](const model::ModelConfig& m) {
    SmallModel small(m, {2, m.context}, test_table());
    Seen seen;
    forward(small, &seen);
    return seen.order;
  };
  const std::vector<std::string> serial = {
      "attention_stream.0", "qkv.0", "attention.0", "attention_out.0", "mlp_stream.0", "up.0", "down.0",
      "attention_stream.1", "qkv.1", "attention.1", "attention_out.1", "mlp_stream.1", "up.1", "down.1",
      "head_stream.2",      "head.2"};
  CHECK(order_of(variant(0)) == serial);
  CHECK(order_of(variant(1)) == serial);  // gated
  CHECK(order_of(variant(2)) == serial);  // parallel: both branches read the same stream
  CHECK(order_of(variant(3)) == std::vector<std::string>{"attention_stream.0", "qkv.0", "attention.0",
                                                         "attention_out.0", "attention_stream.1", "qkv.1",
                                                         "attention.1", "attention_out.1", "head_stream.2",
                                                         "head.2"});
}

TEST_CASE("branches of a parallel block read one stream, those of a serial one each its own") {
  for (const int number : {0, 2}) {
    SmallModel small(variant(number), {2, 9}, test_table());
    Seen seen;
    forward(small, &seen);
    for (const Index layer : {0, 1})
      CHECK(equal(seen.at.at({Site::attention_stream, layer}), seen.at.at({Site::mlp_stream, layer})) ==
            (number == 2));
  }
}

TEST_CASE("what is seen is what is there, computed by hand in whole numbers") {
  const model::ModelConfig m = whole_numbers();
  SmallModel small(m, {7, 1}, test_table());
  fill_with_whole_numbers(small);
  Seen seen;
  forward(small, &seen);
  const Parameters<double> p = reference_parameters<double>(small.gpt);
  Matrix<double> stream = embedding_ref(p, small.tokens, 1);
  bool any = false;
  for (Index layer = 0; layer < m.layers; ++layer) {
    CAPTURE(layer);
    const std::string block = "blocks." + std::to_string(layer);
    const auto at = [&](Site site) -> const Matrix<double>& { return seen.at.at({site, layer}); };
    CHECK(equal(at(Site::attention_stream), stream));
    CHECK(equal(at(Site::qkv), stream));
    // Of one token, attention gives its value.
    const Matrix<double> values =
        block_of(linear_ref(p, block + ".attention.qkv", stream), 0, 7, 2 * m.width, m.width);
    CHECK(equal(at(Site::attention_out), values));
    stream = sum(linear_ref(p, block + ".attention.out", values), stream);
    CHECK(equal(at(Site::mlp_stream), stream));
    CHECK(equal(at(Site::up), stream));
    Matrix<double> hidden = linear_ref(p, block + ".mlp.up", stream);
    for (double& x : hidden.values) x = std::max(x, 0.0);
    CHECK(equal(at(Site::down), hidden));
    any = any || std::ranges::any_of(hidden.values, [](double x) { return x > 2; });
    stream = sum(linear_ref(p, block + ".mlp.down", hidden), stream);
  }
  CHECK(any);
  CHECK(equal(seen.at.at({Site::head_stream, 2}), stream));
  CHECK(equal(seen.at.at({Site::head, 2}), stream));
}

TEST_CASE("an input that a probe changes is what the product takes") {
  const model::ModelConfig m = whole_numbers();
  SmallModel small(m, {7, 1}, test_table());
  fill_with_whole_numbers(small);
  const Parameters<double> p = reference_parameters<double>(small.gpt);
  const auto bias_of = [&](const std::string& layer) {
    Matrix<double> rows(7, p.at(layer + ".bias").cols);
    for (Index i = 0; i < rows.rows; ++i)
      for (Index j = 0; j < rows.cols; ++j) rows(i, j) = p.at(layer + ".bias")(0, j);
    return rows;
  };
  const auto seen_without = [&](Site site, Index layer) {
    Scale probe({site, layer}, 0.0f);
    forward(small, &probe);
    return std::move(probe.at);
  };
  auto at = seen_without(Site::qkv, 0);
  CHECK(equal(at.at({Site::attention_out, 0}),
              block_of(bias_of("blocks.0.attention.qkv"), 0, 7, 2 * m.width, m.width)));
  at = seen_without(Site::attention_out, 1);
  CHECK(equal(at.at({Site::mlp_stream, 1}),
              sum(bias_of("blocks.1.attention.out"), at.at({Site::attention_stream, 1}))));
  at = seen_without(Site::up, 0);
  Matrix<double> hidden = bias_of("blocks.0.mlp.up");
  for (double& x : hidden.values) x = std::max(x, 0.0);
  CHECK(equal(at.at({Site::down, 0}), hidden));
  at = seen_without(Site::down, 0);
  CHECK(equal(at.at({Site::attention_stream, 1}),
              sum(bias_of("blocks.0.mlp.down"), at.at({Site::mlp_stream, 0}))));
  // Without an input all tokens are as likely. Bound: kernels/rowwise/cross_entropy.hpp, Rounding, with logits of 0.
  seen_without(Site::head, 2);
  const double loss = std::log(5.0);
  CHECK(compare(7, [&](Index i) {
    return Element{double(small.losses[static_cast<std::size_t>(i)]), loss,
                   kUnitRoundoff * (5 + 8 + 3 * loss)};
  }));
  // What belongs to another place is left alone.
  Scale elsewhere({Site::head, 0}, 0.0f);
  Seen plain;
  forward(small, &elsewhere);
  const std::vector<float> losses = small.losses;
  forward(small, &plain);
  CHECK(compare_equal(small.losses, losses));
}

TEST_CASE("a stream that a probe changes flows on as it is") {
  const model::ModelConfig m = whole_numbers();
  SmallModel small(m, {7, 1}, test_table());
  fill_with_whole_numbers(small);
  const Parameters<double> p = reference_parameters<double>(small.gpt);
  class Shift final : public Seen {
   public:
    explicit Shift(Place place) : place_(place) {}
    void stream(kernels::ExecContext& ctx, Place place, tensor::MatrixView x) override {
      if (place == place_)
        for (Index i = 0; i < x.rows; ++i) x.row(i)[3] += 2;
      Seen::stream(ctx, place, x);
    }

   private:
    Place place_;
  };
  // Each place is followed by another, from which the stream differs by what the branch between them adds.
  const auto shifted = [&](Site site, Index layer) {
    Shift probe({site, layer});
    forward(small, &probe);
    return std::move(probe.at);
  };
  const auto behind_attention = [&](const std::map<Place, Matrix<double>>& at, Index layer) {
    return sum(linear_ref(p, "blocks." + std::to_string(layer) + ".attention.out",
                          at.at({Site::attention_out, layer})),
               at.at({Site::attention_stream, layer}));
  };
  const auto behind_mlp = [&](const std::map<Place, Matrix<double>>& at, Index layer) {
    return sum(linear_ref(p, "blocks." + std::to_string(layer) + ".mlp.down", at.at({Site::down, layer})),
               at.at({Site::mlp_stream, layer}));
  };
  Seen plain;
  forward(small, &plain);
  Matrix<double> expected = plain.at.at({Site::attention_stream, 1});
  for (Index i = 0; i < 7; ++i) expected(i, 3) += 2;
  auto at = shifted(Site::attention_stream, 1);
  CHECK(equal(at.at({Site::attention_stream, 1}), expected));
  CHECK(equal(at.at({Site::qkv, 1}), expected));
  CHECK(equal(at.at({Site::mlp_stream, 1}), behind_attention(at, 1)));
  expected = plain.at.at({Site::mlp_stream, 0});
  for (Index i = 0; i < 7; ++i) expected(i, 3) += 2;
  at = shifted(Site::mlp_stream, 0);
  CHECK(equal(at.at({Site::attention_stream, 0}), plain.at.at({Site::attention_stream, 0})));
  CHECK(equal(at.at({Site::up, 0}), expected));
  CHECK(equal(at.at({Site::attention_stream, 1}), behind_mlp(at, 0)));
  at = shifted(Site::head_stream, 2);
  CHECK(equal(at.at({Site::head, 2}), at.at({Site::head_stream, 2})));
  CHECK_FALSE(equal(at.at({Site::head, 2}), plain.at.at({Site::head, 2})));
  // What enters a parallel block goes to both branches and past them.
  SmallModel parallel(variant(2), {2, 9}, test_table());
  Shift probe({Site::attention_stream, 1});
  forward(parallel, &probe);
  CHECK(equal(probe.at.at({Site::attention_stream, 1}), probe.at.at({Site::mlp_stream, 1})));
}

TEST_CASE("what attention looked at gives rows of weights that sum to 1") {
  class Rows final : public nn::Probe {
   public:
    void attention(kernels::ExecContext&, Index layer, const nn::SeenAttention& a) override {
      CAPTURE(layer);
      const kernels::AttentionShape& s = a.shape;
      REQUIRE(a.queries.rows == s.batch * s.time);
      REQUIRE(a.queries.cols == s.heads * s.head_size);
      REQUIRE(a.keys.rows == a.queries.rows);
      const Index kv_heads = s.kv_heads > 0 ? s.kv_heads : s.heads;
      REQUIRE(a.keys.cols == kv_heads * s.head_size);
      const auto element = [](const tensor::ConstFloatView& x, Index i, Index j) {
        return double(static_cast<const float*>(x.data)[i * x.row_stride + j]);
      };
      const double root = std::sqrt(double(s.head_size)), u = kUnitRoundoff;
      std::vector<Element> sums;
      for (Index row = 0; row < s.batch * s.time; row += s.time)
        for (Index h = 0; h < s.heads; ++h)
          for (Index t = 0; t < s.time; ++t) {
            const double lse = double(a.lse[row * s.heads + h * s.time + t]);
            const Index span = s.mask.window > 0 && s.mask.window < t + 1 ? s.mask.window : t + 1;
            double sum = 0, size = 0;
            for (Index key = t + 1 - span; key <= t; ++key) {
              double score = 0, magnitude = 0;
              for (Index d = 0; d < s.head_size; ++d) {
                const double product = element(a.queries, row + t, h * s.head_size + d) *
                                       element(a.keys, row + key, h / (s.heads / kv_heads) * s.head_size + d);
                score += product / root, magnitude += std::abs(product) / root;
              }
              sum += std::exp(score - lse), size = std::max(size, magnitude);
            }
            // attention.hpp, Rounding: lse is off by so much, and the sum by e to it.
            const double n = double(span);
            const double e = (33.0 / 32 * n + (double(s.head_size) + 16 + n / 128) * size + 21) * u;
            sums.push_back({sum, 1.0, 1.01 * (e + 2 * u * std::abs(lse))});
          }
      REQUIRE(compare(static_cast<Index>(sums.size()),
                      [&](Index i) { return sums[static_cast<std::size_t>(i)]; }));
      ++layers;
    }
    Index layers = 0;
  };
  for (int number = 0; number < kVariants; ++number) {
    CAPTURE(number);
    SmallModel small(variant(number), {2, 9}, test_table(), 2);
    Rows rows;
    forward(small, &rows);
    CHECK(rows.layers == 2);
  }
}

TEST_CASE("a probe that only looks changes no bit") {
  for (int number = 0; number < kVariants; ++number) {
    for (const auto type : {kernels::FloatType::float32, kernels::FloatType::bfloat16}) {
      CAPTURE(number, type);
      const model::ModelConfig m = variant(number);
      SmallModel small(m, {2, m.context}, test_table(), 1, type);
      forward(small, nullptr);
      const std::vector<float> without = small.losses;
      Seen seen;
      forward(small, &seen);
      CHECK(compare_equal(small.losses, without));

      model::Gpt used(m, {2, m.context}, type, model::Purpose::inference);
      std::ranges::copy(small.gpt.values(), used.values().begin());
      used.values_changed();
      kernels::Scratch scratch(used.scratch_bytes(test_table(), 1));
      kernels::ExecContext ctx{test_table(), 1, scratch};
      Seen in_use;
      used.forward(ctx, 2, small.tokens.data(), small.targets.data(), small.losses.data(), {}, &in_use);
      CHECK(compare_equal(small.losses, without));
      REQUIRE(in_use.order == seen.order);
      for (const auto& [place, x] : seen.at) CHECK(equal(x, in_use.at.at(place)));
    }
  }
}
