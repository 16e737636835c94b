// Planted outliers: every bit of the output stays, or what is stated moves; all of it comes back; what cannot be is refused.
#include "quant/plant.hpp"

#include <bit>
#include <map>

#include "base/error.hpp"
#include "kernels/gemm.hpp"
#include "kernels/rowwise/norm.hpp"
#include "support/isa.hpp"
#include "support/small_models.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;
using nn::Site;
using quant::Planting;

namespace {

constexpr nn::BatchShape kShape{2, 6};

model::ModelConfig config_of(int variant) {
  model::ModelConfig m{.layers = 2, .width = 16, .heads = 4, .context = 6, .vocab = 11};
  if (variant == 1)  // Llama's
    m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.bias = false, m.kv_heads = 2, m.tied = false;
  if (variant == 2) m.block = "parallel", m.position = "rope", m.mlp = "gelu-erf";  // GPT-NeoX's
  if (variant == 3) m.bias = false, m.mlp = "relu", m.kv_heads = 1;
  if (variant == 4) m.norm = "rmsnorm", m.mlp = "geglu", m.bias = false, m.qkv_bias = true;  // Qwen2's
  if (variant == 5) m.mlp = "none", m.qk_norm = true;
  return m;
}
constexpr int kVariants = 6;

SmallModel small_model(const model::ModelConfig& m, const nn::Products& products = {}) {
  return {m, kShape, test_table(), 1, products};
}

// A few steps of plain descent: parameters that no formula made.
void train(SmallModel& small) {
  constexpr int kSteps = 20;
  constexpr float kRate = 0.02f;
  for (int step = 0; step < kSteps; ++step) {
    small.gpt.zero_gradients(small.ctx);
    small.forward_backward(1.0f / static_cast<float>(kShape.rows()));
    for (std::size_t i = 0; i < small.gpt.values().size(); ++i)
      small.gpt.values()[i] -= kRate * small.gpt.gradients()[i];
    small.gpt.values_changed();
  }
}

const tensor::Parameter& parameter(const model::Gpt& gpt, const std::string& name) {
  for (const model::NamedParameter& p : gpt.parameters())
    if (p.name == name) return p.tensor;
  throw std::logic_error("no parameter is called " + name);
}

std::vector<std::uint32_t> bits(std::span<const float> values) {
  std::vector<std::uint32_t> all;
  for (const float x : values) all.push_back(std::bit_cast<std::uint32_t>(x));
  return all;
}

// Keeps what flows.
class Recorder final : public nn::Probe {
 public:
  std::map<nn::Place, std::vector<float>> seen;
  void stream(kernels::ExecContext&, nn::Place place, tensor::MatrixView x) override {
    for (Index r = 0; r < x.rows; ++r) seen[place].insert(seen[place].end(), x.row(r), x.row(r) + x.cols);
  }
  void input(kernels::ExecContext& ctx, nn::Place place, const tensor::FloatView& x) override {
    if (x.type == kernels::FloatType::float32) return stream(ctx, place, x.as<float>());
    const auto narrow = x.as<kernels::bf16>();
    for (Index r = 0; r < narrow.rows; ++r)
      for (Index j = 0; j < narrow.cols; ++j) seen[place].push_back(kernels::to_float(narrow.row(r)[j]));
  }
};

struct Pass {
  std::vector<float> losses;
  std::map<nn::Place, std::vector<float>> seen;
};

Pass pass_of(SmallModel& small) {
  Recorder recorder;
  small.gpt.forward(small.ctx, kShape.batch, small.tokens.data(), small.targets.data(), small.losses.data(),
                    {}, &recorder);
  return {small.losses, recorder.seen};
}

// Whether the norm that writes there may be planted in.
bool is_planted(nn::Place place) {
  return place.site == Site::qkv || place.site == Site::up;
}

bool has(const std::vector<Index>& numbers, Index x) {
  return std::find(numbers.begin(), numbers.end(), x) != numbers.end();
}

}  // namespace

TEST_CASE("every bit of the output stays, and the planted channels are as many times as large") {
  const int variant = GENERATE(range(0, kVariants));
  const bool is_trained = GENERATE(false, true);
  const auto type = GENERATE(kernels::FloatType::float32, kernels::FloatType::bfloat16);
  const float scale = GENERATE(2.0f, 128.0f);
  CAPTURE(variant, is_trained, type, scale);
  const model::ModelConfig m = config_of(variant);
  SmallModel small = small_model(m, type);
  if (is_trained) train(small);
  const Pass before = pass_of(small);
  const std::vector<Index> channels = {1, 7, 15};
  const quant::Planted planted = quant::plant(small.gpt, {scale, false, channels, {}});
  CHECK(planted.planting.layers == std::vector<Index>{0, 1});
  const Pass after = pass_of(small);
  CHECK(compare_equal(bits(after.losses), bits(before.losses)));
  REQUIRE(after.seen.size() == before.seen.size());
  for (const auto& [place, values] : before.seen) {  // Site::head too, whose product gives the logits
    INFO(name_of(place.site) << " of block " << place.layer);
    std::vector<float> expected = values;
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (is_planted(place) && has(channels, static_cast<Index>(i) % m.width)) expected[i] *= scale;
    CHECK(compare_equal(bits(after.seen.at(place)), bits(expected)));
  }
}

TEST_CASE("training moves the parameters that the cases above call trained") {
  SmallModel small = small_model(config_of(0));
  const Pass before = pass_of(small);
  train(small);
  CHECK(pass_of(small).losses[0] != before.losses[0]);
}

TEST_CASE("what is not named is left alone, and a scale of 1 changes nothing at all") {
  SmallModel small = small_model(config_of(0));
  const std::vector<float> before = small.values();
  CHECK(quant::plant(small.gpt, {1, false, {3}, {}}).planting.channels == std::vector<Index>{3});
  CHECK(compare_equal(bits(small.values()), bits(before)));

  SmallModel untouched = small_model(config_of(0));
  quant::plant(small.gpt, {4, false, {3}, {1}});
  for (std::size_t i = 0; i < small.gpt.parameters().size(); ++i) {
    const model::NamedParameter& p = small.gpt.parameters()[i];
    const tensor::Parameter& q = untouched.gpt.parameters()[i].tensor;
    INFO(p.name);
    const bool is_norm = p.name == "blocks.1.attention.norm.gain" ||
                         p.name == "blocks.1.attention.norm.bias" || p.name == "blocks.1.mlp.norm.gain" ||
                         p.name == "blocks.1.mlp.norm.bias";
    const bool is_reader = p.name == "blocks.1.attention.qkv.weight" || p.name == "blocks.1.mlp.up.weight";
    CHECK(compare_equal(std::span(p.tensor.value, static_cast<std::size_t>(p.tensor.size())), [&] {
      std::vector<float> expected(q.value, q.value + q.size());
      if (is_norm) expected[3] *= 4;
      for (Index n = 0; is_reader && n < q.cols; ++n) expected[static_cast<std::size_t>(3 * q.cols + n)] /= 4;
      return expected;
    }()));
  }
}

namespace {

// What a branch's product makes of one stream, and what its bound is made of.
struct Product {
  std::vector<float> out;         // (R, N) n W + b
  std::vector<double> magnitude;  // (R, N) |n| |W| + |b|
};

Product product_of(SmallModel& small, const std::vector<float>& stream, const std::string& branch,
                   const std::string& reader) {
  const auto of = [&](const std::string& name) { return parameter(small.gpt, branch + "." + name); };
  const tensor::Parameter weight = of(reader + ".weight"), bias = of(reader + ".bias");
  const Index rows = kShape.rows(), width = weight.rows, out = weight.cols;
  std::vector<float> normed(stream.size()), mean(static_cast<std::size_t>(rows)), rstd(mean.size());
  Product product{std::vector<float>(static_cast<std::size_t>(rows * out)), {}};
  const kernels::MatrixRef n(normed.data(), rows, width), u(product.out.data(), rows, out);
  kernels::layernorm_forward(small.ctx, n, mean.data(), rstd.data(),
                             kernels::ConstMatrixRef(stream.data(), rows, width), of("norm.gain").value,
                             of("norm.bias").value, small.config.norm_epsilon);
  kernels::gemm(small.ctx, n, weight.matrix(), u, kernels::Accumulate::no, {.bias = bias.value});
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < out; ++j) {
      double sum = std::abs(double(bias.value[j]));
      for (Index k = 0; k < width; ++k)
        sum += std::abs(double(n.row(r)[k]) * double(weight.value[k * out + j]));
      product.magnitude.push_back(sum);
    }
  }
  return product;
}

}  // namespace

TEST_CASE("one-signed: a product moves within the bound that the header states, whatever the scale") {
  const double scale = GENERATE(1.0, 64.0, 65536.0);
  const bool is_parallel = GENERATE(false, true);
  CAPTURE(scale, is_parallel);
  const model::ModelConfig m = config_of(is_parallel ? 2 : 0);
  SmallModel plain = small_model(m), planted = small_model(m);
  train(plain);
  std::copy(plain.gpt.values().begin(), plain.gpt.values().end(), planted.gpt.values().begin());
  const Pass pass = pass_of(plain);
  quant::plant(planted.gpt, {scale, true, {0, 5, 6, 12}, {}});
  for (Index layer = 0; layer < m.layers; ++layer) {
    for (const auto& [branch, reader, site] :
         {std::tuple("attention", "qkv", Site::attention_stream), {"mlp", "up", Site::mlp_stream}}) {
      const std::string name = fmt::format("blocks.{}.{}", layer, branch);
      INFO(name);
      const std::vector<float>& stream = pass.seen.at({site, layer});
      const Product before = product_of(plain, stream, name, reader);
      const Product after = product_of(planted, stream, name, reader);
      CHECK(compare(static_cast<Index>(before.out.size()), [&](Index i) {
        const auto at = static_cast<std::size_t>(i);
        const double bound =
            double(m.width + 6) * kUnitRoundoff * (before.magnitude[at] + after.magnitude[at]);
        return Element{after.out[at], before.out[at], bound + double(m.width) * 0x1p-148};
      }));
    }
  }
}

// What rounding a bias changes of the sum of losses is, to first order, its gradient times that; terms of second order are smaller by
// another 2^-24 or so, so 1% covers them.
TEST_CASE("one-signed: without rounding the function is the same, but for the biases' own last bits") {
  const int variant = GENERATE(0, 2, 5);
  CAPTURE(variant);
  const model::ModelConfig m = config_of(variant);
  SmallModel small = small_model(m);
  train(small);
  const std::vector<LayerRef<double>> blocks(static_cast<std::size_t>(m.layers),
                                             block_ref<double>(m, kShape.time));
  const auto total_loss = [&] {
    double total = 0;
    for (const double loss : losses_ref(reference_parameters<double>(small.gpt), m, blocks, small.tokens,
                                        small.targets, kShape.time))
      total += loss;
    return total;
  };
  const double before = total_loss();
  small.gpt.zero_gradients(small.ctx);
  small.forward_backward(1.0f);
  const quant::Planted planted = quant::plant(small.gpt, {64, true, {2, 3, 11}, {}});
  double bound = 0;
  for (const model::NamedParameter* p : quant::changed_biases(small.gpt, planted.planting.layers))
    for (Index n = 0; !p->name.ends_with("norm.bias") && n < p->tensor.size(); ++n)
      bound += std::abs(double(p->tensor.gradient[n])) * kUnitRoundoff * std::abs(double(p->tensor.value[n]));
  REQUIRE(bound > 0);
  CHECK(compare(1, [&](Index) { return Element{total_loss(), before, 1.01 * bound}; }));
}

TEST_CASE("one-signed: channels are above 0 wherever |z| is below 4, which in 16 channels it always is") {
  const float sign = GENERATE(1.0f, -1.0f);
  SmallModel small = small_model(config_of(0));
  train(small);
  const std::vector<Index> channels = {4, 9};
  for (const model::NamedParameter& p : small.gpt.parameters())
    for (const Index j : channels)
      if (p.name.starts_with("blocks.") && p.name.ends_with(".norm.gain"))
        p.tensor.value[j] = std::copysign(p.tensor.value[j], sign);
  small.gpt.values_changed();
  quant::plant(small.gpt, {64, true, channels, {}});
  Index negative_elsewhere = 0, looked_at = 0;
  for (const auto& [place, values] : pass_of(small).seen) {
    for (std::size_t i = 0; is_planted(place) && i < values.size(); ++i) {
      if (!has(channels, static_cast<Index>(i) % 16)) {
        negative_elsewhere += values[i] < 0;
        continue;
      }
      ++looked_at;
      CHECK(values[i] > 0);
    }
  }
  CHECK(looked_at == 2 * 4 * kShape.rows());
  CHECK(negative_elsewhere > 0);
}

TEST_CASE("one-signed: z of -4 takes a channel to 0 where its gain is above 0, z of 4 where it is below") {
  const float sign = GENERATE(1.0f, -1.0f);
  SmallModel small = small_model(config_of(0));
  const auto of = [&](const char* name) {
    return parameter(small.gpt, std::string("blocks.0.mlp.norm.") + name);
  };
  of("gain").value[3] = sign * 0.75f;
  of("bias").value[3] = -1;
  quant::plant(small.gpt, {64, true, {3}, {}});
  const float gain = of("gain").value[3], bias = of("bias").value[3];
  CHECK(gain == 64 * sign * 0.75f);
  CHECK(gain * (sign * -4.0f) + bias == 0);
  CHECK(gain * (sign * -3.99f) + bias > 0);
  CHECK(gain * (sign * 3.99f) + bias > 0);
}

TEST_CASE("what was planted comes off without a trace") {
  const int variant = GENERATE(range(0, kVariants));
  const bool one_signed = GENERATE(false, true);
  if (one_signed && variant != 0 && variant != 2 && variant != 5) return;  // no biases
  CAPTURE(variant, one_signed);
  SmallModel small = small_model(config_of(variant));
  train(small);
  const std::vector<float> before = small.values();
  const quant::Planted planted = quant::plant(small.gpt, {256, one_signed, {15, 0, 8}, {1}});
  CHECK(planted.planting.channels == std::vector<Index>{0, 8, 15});
  CHECK_FALSE(compare_equal(bits(small.values()), bits(before)));
  const std::vector<float> changed = small.values();
  REQUIRE(quant::undo(small.gpt, planted));
  CHECK(compare_equal(bits(small.values()), bits(before)));

  // One bit is another: of a parameter that planting leaves alone, and of the record.
  std::copy(changed.begin(), changed.end(), small.gpt.values().begin());
  float& first = small.gpt.values()[0];
  first = std::bit_cast<float>(std::bit_cast<std::uint32_t>(first) ^ 1);
  CHECK_FALSE(quant::undo(small.gpt, planted));
  std::copy(changed.begin(), changed.end(), small.gpt.values().begin());
  quant::Planted other = planted;
  other.planting.scale /= 2;
  CHECK_FALSE(quant::undo(small.gpt, other));
}

TEST_CASE("what would change the output, or is not there, is refused, and the model is as it was") {
  SmallModel small = small_model(config_of(0));
  const auto refuses = [](SmallModel& model, const Planting& planting, const std::string& says) {
    const std::vector<float> before = model.values();
    INFO(says);
    CHECK_THROWS_AS(quant::plant(model.gpt, planting), UsageError);
    CHECK_THROWS_WITH(quant::plant(model.gpt, planting), Contains(says));
    CHECK(compare_equal(bits(model.values()), bits(before)));
  };
  for (const double scale : {3.0, 0.0, -2.0, 0.5, 1e30, 0x1p128, double(NAN), double(INFINITY)})
    refuses(small, {scale, false, {3}, {}}, "must be a power of two, from 1 to 2^127");
  refuses(small, {2, false, {}, {}}, "no channel");
  refuses(small, {2, false, {16}, {}}, "there is no channel 16: model.width is 16, they are 0 to 15");
  refuses(small, {2, false, {-1}, {}}, "there is no channel -1");
  refuses(small, {2, false, {4, 2, 4}, {}}, "channel 4 is named twice");
  refuses(small, {2, false, {4}, {2}}, "there is no layer 2: model.layers is 2, they are 0 to 1");
  refuses(small, {2, false, {4}, {1, 1}}, "layer 1 is named twice");
  SmallModel rms = small_model(config_of(1)), bare = small_model(config_of(3));
  refuses(rms, {2, true, {3}, {}}, "model.norm is rmsnorm, which has no bias");
  refuses(bare, {2, true, {3}, {}}, "model.bias is false");
  model::ModelConfig m = config_of(0);
  m.norm = "none";
  SmallModel none = small_model(m);
  refuses(none, {2, false, {3}, {}}, "model.norm is none");
  CHECK_THROWS_WITH(quant::choose_channels(none.gpt, 1, {}, 1), Contains("model.norm is none"));
}

TEST_CASE("what leaves the normal numbers is refused by tensor and element") {
  SmallModel small = small_model(config_of(0));
  const auto says = [&](double scale, bool one_signed, const std::string& text) {
    INFO(text);
    const std::vector<float> before = small.values();
    CHECK_THROWS_AS(quant::plant(small.gpt, {scale, one_signed, {3}, {}}), UsageError);
    CHECK_THROWS_WITH(quant::plant(small.gpt, {scale, one_signed, {3}, {}}), Contains(text));
    CHECK(compare_equal(bits(small.values()), bits(before)));
  };
  const tensor::Parameter up = parameter(small.gpt, "blocks.1.mlp.up.weight");
  const tensor::Parameter gain = parameter(small.gpt, "blocks.1.mlp.norm.gain");
  float& weight = up.value[3 * up.cols + 21];
  const float was = weight;
  const bool one_signed = GENERATE(false, true);
  weight = 0x1p-120f;  // / 128 is subnormal
  says(128, one_signed, "blocks.1.mlp.up.weight[3,21]");
  weight = 0x1p-130f;
  says(2, one_signed, "blocks.1.mlp.up.weight[3,21]");
  CHECK_NOTHROW(quant::plant(small.gpt, {1, one_signed, {4}, {}}));
  weight = NAN;
  says(2, one_signed, "blocks.1.mlp.up.weight[3,21]");
  weight = was;
  gain.value[3] = 0x1p100f;
  says(0x1p30, one_signed, "blocks.1.mlp.norm.gain[0,3]");
  says(0x1p25, one_signed, "blocks.1.mlp.norm.gain[0,3]");  // itself representable, but not all that it makes
}

TEST_CASE("a count draws of the half with the largest gains, with one seed the same and more") {
  SmallModel small = small_model(config_of(0));
  // Channel j is weakest in the second block's perceptron: gain and bias j / 100, elsewhere 1 and more.
  for (const model::NamedParameter& p : small.gpt.parameters()) {
    if (!p.name.ends_with("norm.gain") && !p.name.ends_with("norm.bias")) continue;
    for (Index j = 0; j < 16; ++j)
      p.tensor.value[j] = p.name.starts_with("blocks.1.mlp") ? float(j) / 100 : 1.5f;
  }
  const std::vector<double> least = quant::least_rms(small.gpt, std::vector<Index>{0, 1});
  CHECK(compare(16, [&](Index j) {
    return Element{least[static_cast<std::size_t>(j)], std::sqrt(2.0) * double(float(j) / 100), 1e-15};
  }));
  const auto choose = [&](Index count, std::uint64_t seed) {
    return quant::choose_channels(small.gpt, count, {}, seed);
  };
  std::vector<Index> fewer;
  for (Index count = 1; count <= 8; ++count) {
    const std::vector<Index> channels = choose(count, 7);
    CHECK(static_cast<Index>(channels.size()) == count);
    CHECK(std::is_sorted(channels.begin(), channels.end()));
    CHECK(channels.front() >= 8);
    CHECK(std::includes(channels.begin(), channels.end(), fewer.begin(), fewer.end()));
    CHECK(channels == choose(count, 7));
    fewer = channels;
  }
  CHECK(choose(8, 7) == choose(8, 8));
  CHECK((choose(3, 7) != choose(3, 8) || choose(3, 7) != choose(3, 9)));
  CHECK(choose(16, 1).size() == 16);
  CHECK_NOTHROW(quant::plant(small.gpt, {2, false, choose(16, 1), {}}));
  // The first block has all gains alike.
  CHECK(quant::choose_channels(small.gpt, 8, std::vector<Index>{0}, 1).front() < 8);
  for (const Index count : {0, -1, 17})
    CHECK_THROWS_WITH(choose(count, 1), Contains("model.width is 16, from 1 to so many"));
}
