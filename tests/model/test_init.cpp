// Names, groups, initial values and memory of a model: what needs no kernels.
#include <map>

#include "base/check.hpp"
#include "base/stats.hpp"
#include "support/small_models.hpp"

using namespace loglog;
using tensor::Decay;

namespace {

const model::ModelConfig kConfig{.layers = 3, .width = 64, .heads = 4, .context = 32, .vocab = 50};

std::map<std::string, model::NamedParameter> by_name(const model::Gpt& gpt) {
  std::map<std::string, model::NamedParameter> all;
  for (const model::NamedParameter& p : gpt.parameters()) all[p.name] = p;
  REQUIRE(all.size() == gpt.parameters().size());  // names are unique
  return all;
}

std::vector<double> values_of(const model::NamedParameter& p) {
  return {p.tensor.value, p.tensor.value + p.tensor.size()};
}

}  // namespace

TEST_CASE("every matrix decays, no gain and no bias does") {
  model::Gpt gpt(kConfig, {1, 32});
  for (const auto& [name, p] : by_name(gpt)) {
    INFO(name);
    CHECK((p.decay == Decay::yes) == (p.tensor.rows > 1));
    CHECK(reinterpret_cast<std::uintptr_t>(p.tensor.value) % kernels::kCacheLineBytes == 0);
  }
}

TEST_CASE("a configuration without biases has none, an untied head has its own weight") {
  model::ModelConfig m = kConfig;
  m.bias = false;
  m.tied = false;
  model::Gpt gpt(m, {1, 32});
  const auto all = by_name(gpt);
  for (const auto& [name, p] : all) CHECK_FALSE(name.ends_with("bias"));
  CHECK(all.contains("head.weight"));
  CHECK_FALSE(by_name(model::Gpt(kConfig, {1, 32})).contains("head.weight"));
}

TEST_CASE("initial values") {
  const bool fixed = GENERATE(false, true);
  model::ModelConfig m = kConfig;
  if (fixed) m.init_sd = 0.3f;
  const double weight_sd = fixed ? 0.3 : 1.0 / std::sqrt(64.0);
  model::Gpt gpt(m, {1, 32});
  gpt.initialise(1);
  const auto all = by_name(gpt);
  for (const auto& [name, p] : all) {
    INFO(name);
    const std::vector<double> x = values_of(p);
    if (name.ends_with("gain")) {
      CHECK(std::ranges::all_of(x, [](double v) { return v == 1.0; }));
    } else if (name.ends_with("bias")) {
      CHECK(std::ranges::all_of(x, [](double v) { return v == 0.0; }));
    } else {
      const bool to_stream = name.ends_with("attention.out.weight") || name.ends_with("mlp.down.weight");
      const double sd = to_stream ? weight_sd / std::sqrt(6.0) : weight_sd;
      // The sample sd of n normal values has a relative sd of 1 / sqrt(2 n): five of them.
      CHECK(std::sqrt(variance(x)) == Approx(sd).epsilon(5.0 / std::sqrt(2.0 * double(x.size()))));
      CHECK(std::abs(mean(x)) < 5.0 * sd / std::sqrt(double(x.size())));
    }
  }
}

TEST_CASE("an initial value depends on seed and name alone") {
  model::Gpt gpt(kConfig, {1, 32}), again(kConfig, {2, 16});
  model::ModelConfig deeper = kConfig;
  deeper.tied = false;
  deeper.bias = false;
  model::Gpt other(deeper, {1, 32});
  gpt.initialise(5);
  again.initialise(5);
  other.initialise(5);
  CHECK(std::ranges::equal(gpt.values(), again.values()));
  const std::string name = "blocks.2.mlp.up.weight";
  const auto expected = values_of(by_name(gpt).at(name));
  CHECK(values_of(by_name(other).at(name)) == expected);
  CHECK(values_of(by_name(gpt).at("blocks.1.mlp.up.weight")) != expected);
  gpt.initialise(6);
  CHECK(values_of(by_name(gpt).at(name)) != expected);
}

TEST_CASE("the memory plan is what gets allocated") {
  const kernels::KernelTable& table = kernels::select_table("scalar");
  const nn::BatchShape shape{3, 32};
  const model::MemoryPlan plan = model::Gpt::plan(kConfig, shape, kernels::FloatType::float32, table, 2);
  model::Gpt gpt(kConfig, shape);
  CHECK(plan.parameters == gpt.values().size_bytes());
  CHECK(plan.gradients == gpt.gradients().size_bytes());
  CHECK(plan.scratch == gpt.scratch_bytes(table, 2));
  CHECK(plan.activations > 0);
}

TEST_CASE("measuring a model takes no memory for it: tables of angles are made with the model, and planned") {
  model::ModelConfig m = kConfig;
  m.position = "rope";
  m.context = kernels::Index{1} << 44;  // tables that no machine could hold
  const auto angles = std::size_t{2} * sizeof(float) * static_cast<std::size_t>(m.context * m.rotary_pairs());
  const kernels::KernelTable& table = kernels::select_table("scalar");
  CHECK(model::parameter_shapes(m).size() == model::parameter_shapes(kConfig).size() - 1);  // no positions
  CHECK(model::Gpt::memory_bytes(m, kernels::KeyValueType::float32, 16) > 0);
  const model::MemoryPlan plan = model::Gpt::plan(m, {1, 16}, kernels::FloatType::float32, table, 1);
  CHECK(plan.packed == angles);
  CHECK(plan.total() > angles);
}

TEST_CASE("shapes that do not fit are refused") {
  CHECK_THROWS_AS(model::Gpt(kConfig, {1, 33}), ContractError);
  testing::SmallModel small(kConfig, {2, 8}, kernels::select_table("scalar"));
  CHECK_THROWS_AS(
      small.gpt.forward(small.ctx, 3, small.tokens.data(), small.targets.data(), small.losses.data()),
      ContractError);
}
