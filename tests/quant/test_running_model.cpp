// A model that runs as it is: its weights are packed once, and nothing that it computes shows it.
#include "quant/running_model.hpp"

#include "small_quantized.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::quant;
using namespace loglog::testing;

namespace {

std::vector<float> losses_of(model::Gpt& gpt, kernels::ExecContext ctx, Index batch,
                             const SmallModel& small) {
  std::vector<float> losses(static_cast<std::size_t>(batch * gpt.shape().time));
  gpt.forward(ctx, batch, small.tokens.data(), small.targets.data(), losses.data());
  return losses;
}

}  // namespace

TEST_CASE("packed weights give the bits of parameters, in float32 and bfloat16, few rows or many") {
  for (const auto type : {model::FloatType::float32, model::FloatType::bfloat16}) {
    for (int variant = 0; variant < kVariants; ++variant) {
      constexpr Index kBatch = 9;  // 54 rows; 6 are few
      OpenedSmallModel model(quantized_variant(variant), kBatch);
      const model::ModelConfig& m = model.config();
      const Setting setting{test_table(), 2, type};
      RunningModel running(setting, model.opened, nullptr, {kBatch, m.context});

      model::Gpt gpt(m, {kBatch, m.context}, type, model::Purpose::inference);
      model::load_parameters(model.opened, gpt);
      kernels::Scratch scratch(gpt.scratch_bytes(test_table(), 2));
      for (const Index batch : {Index{1}, kBatch}) {
        CAPTURE(static_cast<int>(type), variant, batch);
        const auto expected = losses_of(gpt, {test_table(), 2, scratch}, batch, model.small);
        REQUIRE(std::ranges::all_of(expected, [](float loss) { return loss > 0; }));
        CHECK(losses_of(running.gpt(), running.context(), batch, model.small) == expected);
      }
    }
  }
}

TEST_CASE("no weight is there twice, and what a running model takes is planned before anything is made") {
  for (const auto type : {model::FloatType::float32, model::FloatType::bfloat16}) {
    for (int variant = 0; variant < kVariants; ++variant) {
      CAPTURE(static_cast<int>(type), variant);
      OpenedSmallModel model(quantized_variant(variant));
      const model::ModelConfig& m = model.config();
      const Setting setting{test_table(), 2, type};
      RunningModel running(setting, model.opened, nullptr, {3, m.context});
      const model::MemoryPlan plan = RunningModel::plan(setting, m, nullptr, {3, m.context});
      CHECK(plan.parameters == running.gpt().values().size_bytes());
      CHECK(running.weight_bytes() == plan.parameters + plan.frozen + plan.packed);
      CHECK(plan.scratch == running.gpt().scratch_bytes(test_table(), 2));
      for (const model::NamedParameter& p : running.gpt().parameters())
        CHECK(role_of(p.name) != Role::linear);
    }
  }
}

TEST_CASE("products of a model are counted by the outputs of the weight: a narrow one weighs less") {
  OpenedSmallModel model(
      quantized_variant(0));  // 2 blocks: qkv (32,96), out (32,32), up (32,40), down (40,32)
  const auto set = [&](const std::string& name, Index first, Index count, float to) {
    std::fill_n(model.values().parameter(name).value + first, count, to);
  };
  for (const char* block : {"blocks.0.", "blocks.1."})
    for (const char* norm : {"attention.norm.gain", "mlp.norm.gain"})
      set(std::string(block) + norm, 0, 32, 0);
  // 1 of the 32 inputs of a qkv and 2 of those of an up, whose weights are 0: nothing else becomes large.
  set("blocks.0.attention.norm.bias", 3, 1, 150);
  set("blocks.0.attention.qkv.weight", 3 * 96, 96, 0);
  set("blocks.1.mlp.norm.bias", 4, 2, 150);
  set("blocks.1.mlp.up.weight", 4 * 40, 2 * 40, 0);
  constexpr float kThreshold = 100;  // which nothing else comes near
  const Calibration inputs = calibrated(model, kThreshold);
  Plan plan{find_scheme("llm-int8")};
  plan.scheme.threshold = kThreshold;
  const Index rows = 3 * model.config().context;
  const double all = static_cast<double>(rows * 2 * (32 * 96 + 32 * 32 + 32 * 40 + 40 * 32)),
               in_float = static_cast<double>(rows * (1 * 96 + 2 * 40));
  for (const bool is_calibrated : {false, true}) {
    const WeightsOfModel weights(model.opened, plan, is_calibrated ? Calibrated{&inputs, 0.5} : Calibrated{});
    RunningModel running({test_table(), 1, model::FloatType::float32}, model.opened, &weights,
                         {3, model.config().context});
    losses_of(running.gpt(), running.context(), 3, model.small);
    const ProductCounts counts = running.counts();
    CAPTURE(is_calibrated);
    CHECK(counts.all == all);
    CHECK(counts.calibrated == (is_calibrated ? in_float : 0));
    CHECK(counts.outliers == (is_calibrated ? 0 : in_float));
    CHECK(counts.int8_share() == 1 - in_float / all);
    CHECK(counts.calibrated_share() + counts.outlier_share() == in_float / all);
  }
}
