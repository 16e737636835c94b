// SmoothQuant's migration: factors by the paper's equation, and the same function before and after.
#include "quant/migration.hpp"

#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"
#include "small_quantized.hpp"

using namespace loglog;
using namespace loglog::quant;
using namespace loglog::testing;
using Catch::Contains;

namespace {

std::vector<float> read(const model::ParameterSource& source, const std::string& name, Index count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  source.read(name, values);
  return values;
}

// The norm and the weight behind it of every branch.
struct Site {
  std::string norm, weight;
};
std::vector<Site> sites_of(const model::ModelConfig& m) {
  std::vector<Site> sites;
  for (Index layer = 0; layer < m.layers; ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    sites.push_back({block + "attention.norm", block + "attention.qkv.weight"});
    if (m.has_mlp())
      sites.push_back({block + "mlp.norm", block + (m.is_gated() ? "mlp.gate_up.weight" : "mlp.up.weight")});
  }
  return sites;
}

// Inputs of every site whose largest magnitudes are `largest`.
Calibration with_largest(const model::ModelConfig& m, const std::vector<float>& largest) {
  Calibration c(6.0f);
  for (const Site& site : sites_of(m))
    c.add(site.weight, {largest.data(), 1, static_cast<Index>(largest.size())});
  return c;
}

// What `migrated` divided the gain by, of dimension k of the first norm.
double factor(const OpenedSmallModel& model, const model::ParameterSource& migrated, std::size_t k) {
  const Index width = model.config().width;
  const char* name = "blocks.0.attention.norm.gain";
  return double(read(model.values(), name, width)[k]) / double(read(migrated, name, width)[k]);
}

}  // namespace

TEST_CASE("the factor is max|X|^alpha / max|W|^(1 - alpha), and 1 where there is nothing to share") {
  OpenedSmallModel model(quantized_variant(0));
  const model::ModelConfig& m = model.config();
  const tensor::Parameter& w = model.values().parameter("blocks.0.attention.qkv.weight");
  const auto set_row = [&](Index k, float largest) {
    for (Index j = 0; j < w.cols; ++j) w.value[k * w.cols + j] = j == 7 ? -largest : largest / 4;
  };
  std::vector<float> largest(static_cast<std::size_t>(m.width), 1.0f);
  largest[0] = 8, set_row(0, 2);
  largest[1] = 64, set_row(1, 0.25f);
  largest[2] = 0;
  set_row(3, 0);
  // Beyond what a float weight could be multiplied with.
  largest[4] = 1e38f, set_row(4, 1e-38f);
  largest[5] = 1e-38f, set_row(5, 1e38f);
  for (const auto& [alpha, first, second] :
       {std::tuple{0.5, 2.0, 16.0}, {0.75, 4.0, std::pow(64, 0.75) * std::pow(4, 0.25)}, {1.0, 8.0, 64.0}}) {
    CAPTURE(alpha);
    const MigratedParameters migrated(*model.opened.parameters, m, with_largest(m, largest), alpha);
    // Two roundings, of the factor and of the quotient.
    CHECK(factor(model, migrated, 0) == Approx(first).epsilon(0x1p-22).margin(0));
    CHECK(factor(model, migrated, 1) == Approx(second).epsilon(0x1p-22).margin(0));
    CHECK(factor(model, migrated, 2) == 1.0);
    if (alpha < 1) CHECK(factor(model, migrated, 3) == 1.0);
    CHECK(factor(model, migrated, 4) == 1.0);
    CHECK(factor(model, migrated, 5) == 1.0);
  }
}

TEST_CASE("factors that are powers of two change no bit of any loss") {
  for (int variant = 0; variant < kVariants; ++variant) {
    CAPTURE(variant);
    OpenedSmallModel model(quantized_variant(variant));
    const model::ModelConfig& m = model.config();
    // Rows of weights whose largest magnitude is 1, inputs of 4^p: factors of 2^p.
    for (const Site& site : sites_of(m)) {
      const tensor::Parameter& w = model.values().parameter(site.weight);
      for (Index i = 0; i < w.size(); ++i) w.value[i] = std::fmod(w.value[i], 1.0f);
      for (Index k = 0; k < w.rows; ++k) w.value[k * w.cols + k % w.cols] = k % 2 == 0 ? 1.0f : -1.0f;
    }
    std::vector<float> largest(static_cast<std::size_t>(m.width));
    for (std::size_t k = 0; k < largest.size(); ++k)
      largest[k] = std::ldexp(1.0f, 2 * (static_cast<int>(k) % 7 - 3));
    const MigratedParameters migrated(*model.opened.parameters, m, with_largest(m, largest), 0.5);
    model.small.forward();
    SmallModel changed(m, model.small.gpt.shape(), model.small.ctx.kernels);
    model::load_parameters(migrated, changed.gpt);
    changed.forward();
    CHECK(compare_equal(changed.losses, model.small.losses));
    CHECK_FALSE(compare_equal(changed.values(), model.small.values()).passed);
  }
}

TEST_CASE("with any factors gain times weight stays what it was, but for three roundings") {
  for (int variant = 0; variant < kVariants; ++variant) {
    CAPTURE(variant);
    OpenedSmallModel model(quantized_variant(variant));
    const model::ModelConfig& m = model.config();
    const Calibration inputs = calibrated(model);
    const MigratedParameters migrated(*model.opened.parameters, m, inputs, 0.5);
    for (const Site& site : sites_of(m)) {
      INFO(site.weight);
      const tensor::Parameter& w = model.values().parameter(site.weight);
      std::vector<std::string> of_norm = {site.norm + ".gain"};
      if (m.norm == "layernorm" && m.bias) of_norm.push_back(site.norm + ".bias");
      for (const std::string& name : of_norm) {
        const std::vector<float> before = read(model.values(), name, m.width),
                                 after = read(migrated, name, m.width);
        const std::vector<float> weight = read(migrated, site.weight, w.size());
        CHECK_FALSE(compare_equal(before, after).passed);
        // (g / s)(s W): the quotient, the product, each within u, and this product of both in double.
        CHECK(compare(w.size(), [&](Index i) {
          const auto k = static_cast<std::size_t>(i / w.cols);
          const double exact = double(before[k]) * double(w.value[i]);
          return Element{double(after[k]) * double(weight[static_cast<std::size_t>(i)]), exact,
                         std::abs(exact) * (2.001 * kUnitRoundoff)};
        }));
      }
    }
    // Nothing else moves.
    for (const model::ParameterShape& p : model::parameter_shapes(m)) {
      const bool moves = std::ranges::any_of(sites_of(m), [&](const Site& site) {
        return p.name == site.weight || p.name.starts_with(site.norm + ".");
      });
      if (moves) continue;
      INFO(p.name);
      CHECK(compare_equal(read(migrated, p.name, p.rows * p.cols),
                          read(model.values(), p.name, p.rows * p.cols)));
    }
  }
}

TEST_CASE("what cannot be migrated is refused") {
  model::ModelConfig m = quantized_variant(0);
  const Calibration nothing(6.0f);
  {
    OpenedSmallModel model(m);
    CHECK_THROWS_AS(MigratedParameters(*model.opened.parameters, m, nothing, 0.5), ContractError);
  }
  m.norm = "none";
  OpenedSmallModel model(m);
  const Calibration inputs = calibrated(model);
  CHECK_THROWS_AS(MigratedParameters(*model.opened.parameters, m, inputs, 0.5), UsageError);
  CHECK_THROWS_WITH(MigratedParameters(*model.opened.parameters, m, inputs, 0.5),
                    Contains("model.norm = none"));
}
