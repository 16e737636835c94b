// The budget of a model in memory: which parts it has, that costs add up where they must, and how many passes it takes.
#include "eval/error_budget.hpp"

#include <cmath>

#include "base/error.hpp"
#include "quant/small_quantized.hpp"

using namespace loglog;
using namespace loglog::eval;
using namespace loglog::testing;

namespace {

using quant::Index;
using quant::ModelPart;

constexpr Index kBatch = 6;

// A model, and passes of it over its own batch: a cluster for each sequence.
struct Subject {
  OpenedSmallModel model;
  quant::WeightsOfModel weights;
  std::vector<std::string> passes;  // that were made
  std::size_t most = 1000;          // the next one is broken off
  FormPass pass = [this](const quant::ModelForm& form, const std::string& what, nn::Probe* probe) {
    return run(form, what, probe);
  };
  BudgetModel budget{weights, model.config(), pass};

  explicit Subject(
      const model::ModelConfig& m, const char* scheme = "absmax-vector", auto change = [](auto&) {})
      : model(m, kBatch), weights(model.opened, {quant::find_scheme(scheme)}, {}) {
    change(model.values());
  }
  explicit Subject(const model::ModelConfig& m) : Subject(m, "absmax-vector", [](const ValuesOf&) {}) {}

 private:
  std::optional<FormLosses> run(const quant::ModelForm& form, const std::string& what, nn::Probe* probe) {
    if (passes.size() == most) return std::nullopt;
    passes.push_back(what);
    const kernels::KernelTable& table = kernels::select_table("auto");
    model::Gpt gpt(model.config(), {kBatch, model.config().context}, kernels::FloatType::float32,
                   model::Purpose::inference, form.freeze(table, nullptr));
    model::load_parameters(form.others(), gpt);
    kernels::Scratch scratch(gpt.scratch_bytes(table, 1));
    kernels::ExecContext ctx{table, 1, scratch};
    std::vector<float> losses(model.small.tokens.size());
    gpt.forward(ctx, kBatch, model.small.tokens.data(), model.small.targets.data(), losses.data(), {}, probe);
    FormLosses result;
    for (std::size_t i = 0; i < losses.size(); ++i)
      result.clusters.add(i / static_cast<std::size_t>(model.config().context), losses[i], 1);
    result.loss = result.clusters.mean();
    return result;
  }
};

ErrorBudget budget_of(Subject& subject, const std::vector<BudgetParts>& parts, std::uint64_t seed = 1) {
  const auto exact = exact_losses(subject.budget);
  REQUIRE(exact);
  const auto budget = error_budget(subject.budget, exact->losses, parts, seed);
  REQUIRE(budget);
  return *budget;
}

bool same(const PairedDifference& a, const PairedDifference& b) {
  return a.mean == b.mean && a.low == b.low && a.high == b.high;
}

std::vector<std::string> names_of(const BudgetParts& parts) {
  std::vector<std::string> names;
  for (const ModelPart& part : parts.parts) names.push_back(quant::name_of(part));
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a model's parts are its sites, blocks, and the dimensions of the largest inputs") {
  Subject gpt(quantized_variant(0)), without_mlp(quantized_variant(3));
  const model::ModelConfig& m = gpt.model.config();
  CHECK(names_of(parts_by_site(m)) == Names{"qkv", "attention_out", "up", "down"});
  CHECK(names_of(parts_by_site(without_mlp.model.config())) == Names{"qkv", "attention_out"});
  CHECK(names_of(parts_by_layer(m)) == Names{"block 0", "block 1"});
  const auto exact = exact_losses(gpt.budget);
  REQUIRE(exact);
  const Names largest = names_of(parts_by_dimension(m, exact->inputs, 2));  // gains are 9 in 5, -25 in 20
  REQUIRE(largest.size() == 8);
  CHECK(Names(largest.begin(), largest.begin() + 2) == Names{"qkv dimension 20", "qkv dimension 5"});
  CHECK(Names(largest.begin() + 4, largest.begin() + 6) == Names{"up dimension 20", "up dimension 5"});
  CHECK(names_of(parts_by_dimension(m, exact->inputs, 1000)).size() == 32 + 32 + 32 + 40);
  CHECK(names_of(parts_by_dimension(m, {3, 39})) == Names{"qkv dimension 3", "attention_out dimension 3",
                                                          "up dimension 3", "down dimension 3",
                                                          "down dimension 39"});
  CHECK_THROWS_WITH(parts_by_dimension(m, {40}),
                    Catch::Contains("dimension 40: its width is 32, its hidden width 40"));
  CHECK(parts_by_site(m).is_partition);
  CHECK(parts_by_layer(m).is_partition);
  CHECK_FALSE(parts_by_dimension(m, {3}).is_partition);
}

TEST_CASE("costs add up exactly where one part alone has any") {
  Subject subject(quantized_variant(0), "absmax-vector", [](const ValuesOf& values) {
    for (const char* name : {"blocks.0.attention.out.weight", "blocks.0.mlp.down.weight"}) {
      const tensor::Parameter p = values.parameter(name);
      std::fill_n(p.value, p.size(), 0.0f);  // the block writes nothing
    }
  });
  const ErrorBudget budget = budget_of(subject, {parts_by_layer(subject.model.config())});
  const BudgetLine &silent = budget.tables[0].lines[0], &other = budget.tables[0].lines[1];
  CHECK(budget.everything.alone.mean != 0);
  CHECK(same(silent.alone, {0, 0, 0}));
  CHECK(same(silent.noise, {0, 0, 0}));
  CHECK(same(silent.rest, budget.everything.alone));
  CHECK(same(other.alone, budget.everything.alone));
  CHECK(same(other.noise, budget.everything.noise));
  CHECK(same(other.rest, {0, 0, 0}));
  REQUIRE(budget.tables[0].sum);
  CHECK(same(*budget.tables[0].sum, budget.everything.alone));
}

TEST_CASE("all but one of two blocks is the other one, and a sum is that of the lines above it") {
  Subject subject(quantized_variant(1));
  const model::ModelConfig& m = subject.model.config();
  const ErrorBudget budget =
      budget_of(subject, {parts_by_layer(m), parts_by_site(m), parts_by_dimension(m, {5})});
  REQUIRE(budget.tables.size() == 3);
  const std::vector<BudgetLine>& blocks = budget.tables[0].lines;
  CHECK(same(blocks[0].rest, blocks[1].alone));
  CHECK(same(blocks[1].rest, blocks[0].alone));
  CHECK_FALSE(same(blocks[0].alone, blocks[1].alone));
  for (const BudgetTable& table : budget.tables) {
    CAPTURE(table.by);
    REQUIRE(table.sum.has_value() == (table.by != "dimension"));
    if (!table.sum) continue;
    double sum = 0, inputs = 0, weights = 0;
    for (const BudgetLine& line : table.lines) {
      sum += line.alone.mean;
      weights += line.power.weights, inputs += line.power.inputs;
      CHECK(line.alone.low <= line.alone.mean);
      CHECK(line.alone.mean <= line.alone.high);
      CHECK_FALSE(same(line.alone, line.noise));
    }
    CHECK(table.sum->mean == Approx(sum).epsilon(1e-12));
    CHECK(table.sum->low <= sum);
    CHECK(sum <= table.sum->high);
    CHECK(weights == Approx(budget.everything.power.weights).epsilon(1e-12));
    CHECK(inputs > 0);
  }
  // An error of rounding is at most half a step, whose square is three twelfths (and kernels/int8.hpp has 2^-15 more).
  CHECK(budget.everything.power.inputs <= 3.001 * budget.everything.power.inputs_predicted);
  CHECK(budget.everything.power.weights <= 3.001 * budget.everything.power.weights_predicted);
}

TEST_CASE("passes are numbered, three of each part, and one that is broken off ends it") {
  Subject subject(quantized_variant(3));
  const model::ModelConfig& m = subject.model.config();
  budget_of(subject, {parts_by_site(m)});
  CHECK(subject.passes == Names{"float32", "1/8 everything alone", "2/8 everything as noise", "3/8 qkv alone",
                                "4/8 qkv as noise", "5/8 qkv left out", "6/8 attention_out alone",
                                "7/8 attention_out as noise", "8/8 attention_out left out"});
  for (std::size_t most = 0; most <= 9; ++most) {
    CAPTURE(most);
    subject.passes.clear(), subject.most = most;
    const auto exact = exact_losses(subject.budget);
    REQUIRE(exact.has_value() == (most > 0));
    if (!exact) continue;
    CHECK(error_budget(subject.budget, exact->losses, {parts_by_site(m)}, 1).has_value() == (most == 9));
  }
}

TEST_CASE("another seed draws other noise and other samples, and rounds the same") {
  Subject subject(quantized_variant(0));
  const BudgetLine one = budget_of(subject, {}, 1).everything, again = budget_of(subject, {}, 1).everything,
                   two = budget_of(subject, {}, 2).everything;
  CHECK(same(one.alone, again.alone));
  CHECK(same(one.noise, again.noise));
  CHECK(one.alone.mean == two.alone.mean);
  CHECK(one.alone.low != two.alone.low);
  CHECK(one.noise.mean != two.noise.mean);
}
