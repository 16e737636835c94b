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
