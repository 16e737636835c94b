#include "quant/activations/outlier_survey.hpp"

#include <algorithm>
#include <cmath>

#include "base/rng.hpp"
#include "kernels/isa.hpp"
#include "model/gpt.hpp"
#include "quant/activations/activation_probe.hpp"
#include "quant/activations/norm_split.hpp"
#include "quant/activations/zeroing_probe.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;

namespace {

constexpr Index kWidth = 64, kContext = 32, kSequences = 8;

model::ModelConfig config_of(const std::string& norm, bool tied) {
  model::ModelConfig m;
  m.layers = 4;
  m.width = kWidth;
  m.heads = 4;
  m.context = kContext;
  m.vocab = 50;
  m.norm = norm;
  m.bias = norm == "layernorm";
  m.tied = tied;
  return m;
}

// A model with random weights and a text, run a few sequences at a time.
struct Subject {
  model::Gpt gpt;
  int threads;
  kernels::Scratch scratch;
  std::vector<std::int32_t> tokens, targets;

  explicit Subject(const std::string& norm = "layernorm", Index per_pass = kSequences, int t = 1,
                   bool tied = true)
      : gpt(config_of(norm, tied), {per_pass, kContext}),
        threads(t),
        scratch(gpt.scratch_bytes(kernels::select_table("auto"), t)) {
    gpt.initialise(11);
    for (std::uint64_t i = 0; i < kSequences * kContext; ++i) {
      tokens.push_back(static_cast<std::int32_t>(Rng(2, 1).below(i, 50)));
      targets.push_back(static_cast<std::int32_t>(Rng(2, 2).below(i, 50)));
    }
  }
  std::vector<float> run(nn::Probe* probe) {
    kernels::ExecContext ctx{kernels::select_table("auto"), threads, scratch};
    std::vector<float> losses(tokens.size());
    const Index step = gpt.shape().batch;
    for (Index first = 0; first < kSequences; first += step)
      gpt.forward(ctx, step, tokens.data() + first * kContext, targets.data() + first * kContext,
                  losses.data() + first * kContext, {}, probe);
    return losses;
  }
  OutlierSurvey surveyed(SurveySettings settings = {}) {
    settings.permutations = 99;
    return *survey(
        [&](const std::vector<ActivationSink*>& sinks) {
          ActivationProbe probe(sinks);
          run(&probe);
          return true;
        },
        settings);
  }
  kernels::MatrixRef parameter(const std::string& name) {
    for (const model::NamedParameter& p : gpt.parameters())
      if (p.name == name) return {p.tensor.value, p.tensor.rows, p.tensor.cols};
    FAIL("no parameter " << name);
    return {};
  }
  // Channel j of both norms of every block times s, the rows of what reads it over s: a power of two changes no output.
  void plant(const std::vector<Index>& channels, float s) {
    for (int b = 0; b < 4; ++b) {
      for (const auto& [norm, reader] :
           {std::pair{"attention.norm", "attention.qkv"}, std::pair{"mlp.norm", "mlp.up"}}) {
        const std::string block = "blocks." + std::to_string(b) + ".";
        const kernels::MatrixRef gain = parameter(block + norm + ".gain"),
                                 weight = parameter(block + reader + ".weight");
        for (const Index j : channels) {
          gain.data[j] *= s;
          for (Index i = 0; i < weight.cols; ++i) weight.data[j * weight.cols + i] /= s;
        }
      }
    }
    gpt.values_changed();
  }
};

// The residual basis turned by two reflections, which keep the root mean square: I - 2 u u^T, I - 2 v v^T.
void rotate(Subject& s) {
  std::vector<std::vector<double>> axes(2, std::vector<double>(kWidth));
  for (std::uint64_t a = 0; a < 2; ++a) {
    double norm = 0;
    for (std::size_t j = 0; j < kWidth; ++j) norm += std::pow(axes[a][j] = Rng(6, a).normal(j), 2);
    for (double& x : axes[a]) x /= std::sqrt(norm);
  }
  const auto reflect = [&](float* x, Index step) {
    for (const std::vector<double>& u : axes) {
      double along = 0;
      for (Index j = 0; j < kWidth; ++j) along += u[static_cast<std::size_t>(j)] * double(x[j * step]);
      for (Index j = 0; j < kWidth; ++j)
        x[j * step] = static_cast<float>(double(x[j * step]) - 2 * along * u[static_cast<std::size_t>(j)]);
    }
  };
  for (const model::NamedParameter& p : s.gpt.parameters()) {
    const bool writes =
        p.name.starts_with("embedding") || p.name.ends_with("out.weight") || p.name.ends_with("down.weight");
    const bool reads = p.name.ends_with("qkv.weight") || p.name.ends_with("up.weight");
    if (writes)
      for (Index i = 0; i < p.tensor.rows; ++i) reflect(p.tensor.value + i * kWidth, 1);
    if (reads)
      for (Index i = 0; i < p.tensor.cols; ++i) reflect(p.tensor.value + i, p.tensor.cols);
  }
  s.gpt.values_changed();
}

}  // namespace

TEST_CASE("planted outliers are found, and nothing else") {
  for (const std::string norm : {"layernorm", "rmsnorm"}) {
    Subject plain(norm), planted(norm);
    const std::vector<Index> channels = {3, 17, 40, 63};
    planted.plant(channels, 64);
    REQUIRE(plain.run(nullptr) == planted.run(nullptr));  // the same function, bit for bit
    const OutlierSurvey none = plain.surveyed(), found = planted.surveyed();
    CHECK(none.outliers().empty());
    CHECK(none.criteria.back().verdict.outliers.empty());
    CHECK(found.outliers() == channels);
    CHECK(found.criteria.back().is_relative);
    CHECK(found.criteria.back().verdict.outliers.size() == channels.size());
    for (const OutlierChannel& c : found.criteria.front().verdict.outliers) CHECK(c.layer_share == 1);
    CHECK(found.overlap.p == 0.01);
    // Four channels of 64 with 64^2 times the energy: nearly 64 / 4 of kurtosis.
    CHECK(found.kurtosis({"qkv", "up"}) > 10);
    CHECK(none.kurtosis({"qkv", "up"}) < 1.5);
    // Streams do not know of it.
    CHECK(found.sums.find({"mlp_stream", 2})->rms() == none.sums.find({"mlp_stream", 2})->rms());
    // A gain of 64 on what the norm makes, which is what it was.
    const Channel c = found.sums.find({"qkv", 1})->channels()[17],
                  z = none.sums.find({"qkv", 1})->channels()[17];
    const NormSplit parts = split(c, 256, 64, 0);
    CHECK(parts.z_rms == Approx(std::sqrt(z.squares / 256)));
    CHECK(parts.z_largest == Approx(std::abs(z.largest)));
  }
}

TEST_CASE("a random model has no outliers in any basis") {
  Subject plain("rmsnorm"), turned("rmsnorm");
  rotate(turned);
  const std::vector<float> a = plain.run(nullptr), b = turned.run(nullptr);
  for (std::size_t i = 0; i < a.size(); ++i)
    REQUIRE(a[i] == Approx(b[i]).epsilon(1e-3));  // the same function
  CHECK(turned.surveyed().outliers().empty());
  CHECK(turned.surveyed().criteria.back().verdict.outliers.empty());
  // And channels that the rotation mixed are none of the planted ones' kind: kurtosis stays that of even channels.
  CHECK(turned.surveyed().kurtosis({"qkv", "up"}) < 1.5);
}

TEST_CASE("zeroing what was planted changes as little as zeroing it unplanted") {
  Subject plain, planted;
  const std::vector<Index> channels = {5, 33};
  planted.plant(channels, 128);
  ZeroingProbe a({"qkv", "up"}, channels), b({"qkv", "up"}, channels), other({"qkv", "up"}, {6, 34});
  const std::vector<float> without = plain.run(&a);
  CHECK(without == planted.run(&b));
  CHECK(without != plain.run(nullptr));
  CHECK(a.focus().top1() == b.focus().top1());
  CHECK(plain.run(&other) != without);
  ZeroingProbe third({"qkv", "up"}, channels, 2), none({"down"}, {}), last({"head"}, channels);
  CHECK(plain.run(&third) != without);
  CHECK(third.focus().layers().size() == 1);
  CHECK(plain.run(&none) == plain.run(nullptr));
}

TEST_CASE("a stream without channels is one to which nothing writes them") {
  Subject subject("layernorm", kSequences, 1, false);  // the table writes to the stream, and nothing else
  const std::vector<Index> channels = {5, 33};
  ZeroingProbe streams({"attention_stream", "mlp_stream", "head_stream"}, channels),
      inputs({"qkv", "up"}, channels);
  const std::vector<float> without = subject.run(&streams);
  CHECK(without != subject.run(&inputs));
  const auto clear = [&](const std::string& name) {
    const kernels::MatrixRef values = subject.parameter(name);
    for (Index i = 0; i < values.rows; ++i)
      for (const Index j : channels) values.row(i)[j] = 0;
  };
  const auto clear_vector = [&](const std::string& name) {
    for (const Index j : channels) subject.parameter(name).data[j] = 0;
  };
  clear("embedding.token");
  clear("embedding.position");
  for (int b = 0; b < 4; ++b)
    for (const char* writer : {"attention.out", "mlp.down"}) {
      const std::string name = "blocks." + std::to_string(b) + "." + writer;
      clear(name + ".weight");
      clear_vector(name + ".bias");
    }
  subject.gpt.values_changed();
  CHECK(subject.run(nullptr) == without);
}

TEST_CASE("no number depends on sequences per pass or on threads") {
  Subject whole;
  const OutlierSurvey a = whole.surveyed();
  for (const Index per_pass : {1, 4}) {
    Subject parts("layernorm", per_pass, 2);
    const OutlierSurvey b = parts.surveyed();
    REQUIRE(a.sums.entries().size() == b.sums.entries().size());
    CHECK(a.sums.entries().size() == 4 * 6 + 2);
    for (const ActivationSums::Entry& e : a.sums.entries()) {
      const ChannelSums& other = *b.sums.find(e.spot);
      CHECK(e.sums.kurtosis() == other.kurtosis());
      CHECK(e.sums.max_to_median() == other.max_to_median());
      CHECK(e.sums.median_magnitude() == other.median_magnitude());
    }
    CHECK(a.criteria.back().counts->positions() == b.criteria.back().counts->positions());
    CHECK(a.overlap.p == b.overlap.p);
  }
}

TEST_CASE("massive activations are large and alone") {
  ChannelSums s(4);
  std::vector<MagnitudeHistogram> scratch;
  std::vector<float> x(100 * 4, 0.25f);
  x[4 * 7 + 1] = -260;  // above 100 and 1,000 times the median
  x[4 * 8 + 2] = 248;   // not 1,000 times
  x[4 * 9 + 3] = 900;
  s.add({x.data(), 100, 4}, 0, 1, scratch);
  CHECK(massive_channels(s) == std::vector<Index>{3, 1});
  std::vector<float> small(100 * 4, 0.01f);
  small[5] = 99;
  ChannelSums t(4);
  t.add({small.data(), 100, 4}, 0, 1, scratch);
  CHECK(massive_channels(t).empty());
}

TEST_CASE("a norm is taken out of what it made") {
  // x = 2 z + 1 for z = -1, 0, 3.
  const Channel c{.sum = -1 + 1 + 7, .squares = 1 + 1 + 49, .lowest = -1, .highest = 7, .largest = 7};
  CHECK(split(c, 3, 2, 1).z_rms == Approx(std::sqrt(10.0 / 3)));
  CHECK(split(c, 3, -2, 1).z_largest == 3);
  CHECK(std::isnan(split(c, 3, 0, 1).z_rms));
  CHECK(*norm_before({"qkv", 2}) == "blocks.2.attention.norm");
  CHECK(*norm_before({"head", 4}) == "head.norm");
  CHECK_FALSE(norm_before({"down", 0}));
}
