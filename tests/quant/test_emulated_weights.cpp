// Models of which a part is in int8: which weights err, that the parts make up the whole, and that what has no error adds none.
#include "quant/emulated_weights.hpp"

#include <cmath>

#include "base/check.hpp"
#include "small_quantized.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::quant;
using namespace loglog::testing;

namespace {

constexpr Index kBatch = 3;

WeightsOfModel weights_of(const OpenedSmallModel& model, std::string_view scheme,
                          const Calibrated& calibrated = {}) {
  return WeightsOfModel(model.opened, {find_scheme(scheme)}, calibrated);
}

// What a model loses at each position, its weights as `freeze` has them.
std::vector<float> losses(const OpenedSmallModel& model, const model::ParameterSource& others,
                          const model::Freeze& freeze, const model::Freeze& planned) {
  const model::ModelConfig& m = model.config();
  const nn::BatchShape shape{kBatch, m.context};
  const auto plan = model::Gpt::plan(m, shape, kernels::FloatType::float32, test_table(), 1,
                                     model::Purpose::inference, planned);
  model::Gpt gpt(m, shape, kernels::FloatType::float32, model::Purpose::inference, freeze);
  model::load_parameters(others, gpt);
  CHECK(plan.scratch == gpt.scratch_bytes(test_table(), 1));
  kernels::Scratch scratch(plan.scratch);
  kernels::ExecContext ctx{test_table(), 1, scratch};
  std::vector<float> found(static_cast<std::size_t>(shape.rows()));
  gpt.forward(ctx, kBatch, model.small.tokens.data(), model.small.targets.data(), found.data());
  return found;
}
std::vector<float> losses(const OpenedSmallModel& model, const ModelForm& form) {
  return losses(model, form.others(), form.freeze(test_table(), nullptr), form.planned(test_table()));
}
std::vector<float> losses_in_float(const OpenedSmallModel& model) {
  return losses(model, *model.opened.parameters, {}, {});
}

std::vector<float> losses(const OpenedSmallModel& model, const WeightsOfModel& weights,
                          const PartialError& error, ErrorPower* power = nullptr) {
  return losses(model, EmulatedWeights(weights, model.config(), error, power));
}

tensor::Parameter parameter(OpenedSmallModel& model, const std::string& name) {
  return model.values().parameter(name);
}
void set(OpenedSmallModel& model, const std::string& name, auto value_of) {
  const tensor::Parameter p = parameter(model, name);
  for (Index i = 0; i < p.size(); ++i) p.value[i] = static_cast<float>(value_of(i));
}

}  // namespace

TEST_CASE("parts have names") {
  CHECK(name_of({}) == "everything");
  CHECK(name_of({.site = nn::Site::attention_out, .layer = {}, .dimension = {}}) == "attention_out");
  CHECK(name_of({.site = {}, .layer = 3, .dimension = {}}) == "block 3");
  CHECK(name_of({.site = nn::Site::up, .layer = {}, .dimension = 17}) == "up dimension 17");
}

TEST_CASE("everything in error is the quantised model but for the order of sums, nothing the model itself") {
  for (int variant = 0; variant < kVariants; ++variant) {
    const OpenedSmallModel model(quantized_variant(variant));
    for (const char* scheme : {"absmax-vector", "llm-int8", "zeropoint-tensor"}) {
      CAPTURE(variant, scheme);
      const WeightsOfModel weights = weights_of(model, scheme);
      const std::vector<float> exact = losses(model, weights, {.part = {}, .inside = false}),
                               all = losses(model, weights, {}), quantised = losses(model, weights);
      CHECK(compare_equal(exact, losses_in_float(model)));
      CHECK(all != exact);
      // What quantising adds is far above what the order of sums does, which may now and then turn a rounding over.
      double apart = 0, added = 0;
      for (std::size_t i = 0; i < all.size(); ++i)
        apart += std::fabs(all[i] - quantised[i]), added += std::fabs(exact[i] - quantised[i]);
      CHECK(apart < 0.05 * added);
    }
  }
}

TEST_CASE("a part and all but it err in each weight once") {
  const OpenedSmallModel model(quantized_variant(0));
  const WeightsOfModel weights = weights_of(model, "absmax-vector");
  const auto power_of = [&](const ModelPart& part, bool inside) {
    ErrorPower power;
    const EmulatedWeights form(weights, model.config(), {part, inside}, &power);
    const model::Freeze freeze = form.freeze(test_table(), nullptr);
    for (const model::ParameterShape& p : model::parameter_shapes(model.config()))
      freeze(p.name, p.rows, p.cols);
    return power;
  };
  const double all = power_of({}, true).weights;
  REQUIRE(all > 0);
  CHECK(power_of({}, false).weights == 0);
  for (const ModelPart& part : {ModelPart{.site = nn::Site::up, .layer = {}, .dimension = {}},
                                {.site = {}, .layer = 1, .dimension = {}},
                                {.site = nn::Site::down, .layer = {}, .dimension = 39},
                                {.site = nn::Site::qkv, .layer = 0, .dimension = 5}}) {
    CAPTURE(name_of(part));
    const double inside = power_of(part, true).weights, outside = power_of(part, false).weights;
    CHECK(inside > 0);
    CHECK(outside > 0);
    CHECK(inside + outside == Approx(all).epsilon(1e-12));
  }
  // The hidden layer has 40 dimensions, the stream 32: at a site that lacks the dimension all is outside.
  const ModelPart absent{.site = nn::Site::qkv, .layer = {}, .dimension = 39};
  CHECK(power_of(absent, true).weights == 0);
  CHECK(power_of(absent, false).weights == all);
}

TEST_CASE("a block that writes nothing adds nothing, so that the others are everything") {
  OpenedSmallModel model(quantized_variant(0));
  for (const char* name : {"blocks.0.attention.out.weight", "blocks.0.mlp.down.weight"})
    set(model, name, [](Index) { return 0; });
  for (const RoundingError error : {RoundingError::rounding, RoundingError::noise}) {
    const WeightsOfModel weights = weights_of(model, "absmax-vector");
    const auto of = [&](const ModelPart& part, bool inside) {
      return losses(model, weights, {part, inside, error});
    };
    const ModelPart silent{.site = {}, .layer = 0, .dimension = {}},
        other{.site = {}, .layer = 1, .dimension = {}};
    const std::vector<float> exact = of({}, false), all = of({}, true);
    CHECK(all != exact);
    CHECK(compare_equal(of(silent, true), exact));
    CHECK(compare_equal(of(silent, false), all));
    CHECK(compare_equal(of(other, true), all));
    CHECK(compare_equal(of(other, false), exact));
  }
}

TEST_CASE("dimensions in which nothing is have no part in the error") {
  OpenedSmallModel model(quantized_variant(0));
  for (const char* block : {"blocks.0.", "blocks.1."}) {
    for (const char* what : {"attention.norm.gain", "attention.norm.bias"})
      set(model, std::string(block) + what, [](Index j) { return j == 5 ? 1.7 : 0.0; });
  }
  const WeightsOfModel weights = weights_of(model, "absmax-vector");
  const ModelPart site{.site = nn::Site::qkv, .layer = {}, .dimension = {}};
  const auto of = [&](const ModelPart& part, bool inside) { return losses(model, weights, {part, inside}); };
  ModelPart five = site, six = site;
  five.dimension = 5, six.dimension = 6;
  const std::vector<float> exact = of({}, false);
  CHECK(of(site, true) != exact);
  CHECK(compare_equal(of(five, true), of(site, true)));
  CHECK(compare_equal(of(six, true), exact));
  CHECK(compare_equal(of(six, false), of({}, true)));
}

TEST_CASE("inputs and weights on the grid of int8 are multiplied exactly") {
  OpenedSmallModel model(quantized_variant(0));
  for (const char* block : {"blocks.0.", "blocks.1."}) {
    // Norms write -127 to 127 whatever they read; columns of W are integers with 127 among them, over 1024.
    for (const char* norm : {"attention.norm", "mlp.norm"}) {
      set(model, fmt::format("{}{}.gain", block, norm), [](Index) { return 0; });
      set(model, fmt::format("{}{}.bias", block, norm),
          [](Index j) { return j == 0 ? 127 : 9 * (j % 27) - 117; });
    }
    for (const char* name : {"attention.qkv", "mlp.up"}) {
      const Index outputs = parameter(model, fmt::format("{}{}.weight", block, name)).cols;
      set(model, fmt::format("{}{}.weight", block, name), [&](Index i) {
        return i < outputs ? 127 / 1024.0 : static_cast<double>(i * 7 % 251 - 125) / 1024;
      });
    }
  }
  const WeightsOfModel weights = weights_of(model, "absmax-vector");
  const std::vector<float> exact = losses(model, weights, {.part = {}, .inside = false});
  for (const nn::Site site : {nn::Site::qkv, nn::Site::up}) {
    CAPTURE(nn::name_of(site));
    ErrorPower power;
    const ModelPart part{.site = site, .layer = {}, .dimension = {}};
    CHECK(compare_equal(losses(model, weights, {.part = part}, &power), exact));
    CHECK(power.inputs == 0);
    CHECK(power.weights == 0);
    CHECK(power.inputs_predicted > 0);
    CHECK(losses(model, weights, {part, true, RoundingError::noise}) != exact);
  }
  CHECK(losses(model, weights, {.part = {.site = nn::Site::down, .layer = {}, .dimension = {}}}) != exact);
}

TEST_CASE("noise in a model has the power that its steps give it, another one in each weight and seed") {
  // Steps of a tensor-wise scheme are one for each weight and, since the pass is one, one for the inputs of each: u^2 of u uniform in
  // [-1/2, 1/2) has mean 1/12 and variance 1/180, so that a mean of n of them is within five standard deviations where it is within
  // 5 sqrt(144 / 180 / n) of 1.
  const OpenedSmallModel model(quantized_variant(0));
  const WeightsOfModel weights = weights_of(model, "absmax-tensor");
  const ModelPart part{.site = nn::Site::down, .layer = 1, .dimension = {}};
  ErrorPower power;
  const auto noisy = losses(model, weights, {part, true, RoundingError::noise, 1}, &power);
  const auto within = [](double n) { return 5 * std::sqrt(0.8 / n); };
  CHECK(power.weights / power.weights_predicted == Approx(1).margin(within(40 * 32)));
  CHECK(power.inputs / power.inputs_predicted == Approx(1).margin(within(kBatch * 6 * 40)));
  CHECK(compare_equal(losses(model, weights, {part, true, RoundingError::noise, 1}), noisy));
  CHECK(losses(model, weights, {part, true, RoundingError::noise, 2}) != noisy);
  // Two blocks with the same weights: their noise would have one power if it were the same.
  OpenedSmallModel twins(quantized_variant(0));
  const tensor::Parameter first = parameter(twins, "blocks.0.mlp.up.weight");
  set(twins, "blocks.1.mlp.up.weight", [&](Index i) { return first.value[i]; });
  const auto power_of = [&](Index layer) {
    ErrorPower of_block;
    const WeightsOfModel same = weights_of(twins, "absmax-tensor");
    losses(twins, same, {{.site = nn::Site::up, .layer = layer, .dimension = {}}, true, RoundingError::noise},
           &of_block);
    return of_block.weights;
  };
  CHECK(power_of(0) != power_of(1));
}

TEST_CASE("rows that calibration keeps in float32 do not err, nor do their inputs") {
  OpenedSmallModel model(quantized_variant(0));
  const Calibration seen = calibrated(model, 6.0f);
  const WeightsOfModel kept = weights_of(model, "llm-int8", {&seen, 0.01});
  const std::span<const Index> rows = kept.float_rows_of("blocks.0.attention.qkv.weight");
  REQUIRE(rows.size() >= 2);
  REQUIRE(std::ranges::find(rows, 20) != rows.end());
  const std::vector<float> exact = losses(model, kept, {.part = {}, .inside = false});
  const ModelPart part{.site = nn::Site::qkv, .layer = 0, .dimension = 20};
  CHECK(compare_equal(losses(model, kept, {.part = part}), exact));
  CHECK(losses(model, weights_of(model, "llm-int8"), {.part = part}) != exact);
  CHECK(losses(model, kept, {}) != losses(model, weights_of(model, "llm-int8"), {}));
}

TEST_CASE("what has no int8 is refused") {
  OpenedSmallModel model(quantized_variant(0));
  const WeightsOfModel paper = weights_of(model, "llm-int8-paper"),
                       vector = weights_of(model, "absmax-vector");
  CHECK_THROWS_AS(EmulatedWeights(paper, model.config(), {}, nullptr), ContractError);
  set(model, "blocks.1.mlp.up.weight", [](Index i) { return i == 7 ? NAN : 1.0; });
  CHECK_THROWS_WITH(losses(model, vector, {}),
                    Catch::Contains("'blocks.1.mlp.up.weight' is nan at row 0, column 7"));
}
