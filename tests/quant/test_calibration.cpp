// What is learned from inputs: exact counts and maxima of matrices made by hand, and of what flows through a small model.
#include "quant/calibration.hpp"

#include <cmath>
#include <limits>

#include "base/check.hpp"
#include "base/error.hpp"
#include "small_quantized.hpp"

using namespace loglog;
using namespace loglog::quant;
using namespace loglog::testing;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> largest_of(const Calibration& c, const std::string& weight) {
  const std::span<const float> x = c.largest(weight);
  return {x.begin(), x.end()};
}

// Keeps what goes into every product of a block, by the weight that takes it.
class InputsSeen final : public nn::Probe {
 public:
  explicit InputsSeen(const model::ModelConfig& config) : config_(config) {}
  void input(kernels::ExecContext&, nn::Place place, const tensor::FloatView& x) override {
    if (place.site == nn::Site::head) return;
    std::vector<std::vector<float>>& rows = seen[weight_at(config_, place)];
    for (Index i = 0; i < x.rows; ++i) {
      const float* const row = x.as<float>().row(i);
      rows.emplace_back(row, row + x.cols);
    }
  }
  std::map<std::string, std::vector<std::vector<float>>> seen;

 private:
  const model::ModelConfig& config_;
};

}  // namespace

TEST_CASE("largest magnitudes and shares of positions, over several calls") {
  Calibration c(2.0f);
  const std::vector<float> first = {1,    -3, 0, 2,  //
                                    -1.5, 1,  0, -2};
  const std::vector<float> second = {-1.75f, 1.999f, 0, 2.5f, 99, 98};  // two rows of four, the gap left out
  c.add("w", {first.data(), 2, 4});
  c.add("w", {second.data(), 1, 4, 6});
  CHECK(c.positions() == 3);
  CHECK(c.threshold() == 2.0f);
  CHECK(largest_of(c, "w") == std::vector<float>{1.75f, 3, 0, 2.5f});
  // At or above the threshold: dimension 1 in one of three positions, dimension 3 in all.
  CHECK(c.outliers("w", 0) == std::vector<Index>{1, 3});
  CHECK(c.outliers("w", 1.0 / 3) == std::vector<Index>{1, 3});
  CHECK(c.outliers("w", 0.34) == std::vector<Index>{3});
  CHECK(c.outliers("w", 1) == std::vector<Index>{3});
  CHECK(c.outliers("w", 1.1).empty());
}

TEST_CASE("a dimension that is never an outlier stays quantised, whatever the share") {
  Calibration c(6.0f);
  const std::vector<float> x(20, 5.99f);
  c.add("w", {x.data(), 10, 2});
  CHECK(c.outliers("w", 0).empty());
}

TEST_CASE("inputs that are not finite are refused, with how many and where, and leave nothing") {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    Calibration c(6.0f);
    const std::vector<float> x = {bad, 1, 1, 9,  //
                                  bad, 1, 1, 5};
    try {
      c.add("w", {x.data(), 2, 4});
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.exit_code == Exit::diverged);
      CHECK_THAT(error.what(), Catch::Contains("2 of 8 inputs of 'w' are not finite"));
    }
    CHECK(c.positions() == 0);
    CHECK(c.largest("w").empty());
    c.add("w", {x.data() + 1, 2, 3, 4});  // the first column is not looked at
    CHECK(c.outliers("w", 0) == std::vector<Index>{2});
  }
}

TEST_CASE("weights are apart, and one that was not seen has nothing") {
  Calibration c(1.0f);
  const std::vector<float> x = {2, 0};
  c.add("a", {x.data(), 1, 2});
  c.add("b", {x.data(), 2, 1});
  CHECK(c.positions() == 2);
  CHECK(c.outliers("a", 0) == std::vector<Index>{0});
  CHECK(largest_of(c, "b") == std::vector<float>{2});
  CHECK(c.outliers("c", 0).empty());
  CHECK(c.largest("c").empty());
  CHECK_THROWS_AS(c.add("a", {x.data(), 2, 1}), ContractError);
}

TEST_CASE("the weight at every site is one of the model's, and takes as many inputs") {
  for (int variant = 0; variant < kVariants; ++variant) {
    CAPTURE(variant);
    const model::ModelConfig m = quantized_variant(variant);
    std::map<std::string, Index> inputs;
    for (const model::ParameterShape& p : model::parameter_shapes(m)) inputs[p.name] = p.rows;
    for (Index layer = 0; layer < m.layers; ++layer) {
      CHECK(inputs.at(weight_at(m, {nn::Site::qkv, layer})) == m.width);
      CHECK(inputs.at(weight_at(m, {nn::Site::attention_out, layer})) == m.width);
      if (!m.has_mlp()) continue;
      CHECK(inputs.at(weight_at(m, {nn::Site::up, layer})) == m.width);
      CHECK(inputs.at(weight_at(m, {nn::Site::down, layer})) == m.hidden());
    }
    for (const nn::Site site :
         {nn::Site::attention_stream, nn::Site::mlp_stream, nn::Site::head_stream, nn::Site::head})
      CHECK(weight_at(m, {site, 1}).empty());
  }
  CHECK(weight_at(quantized_variant(1), {nn::Site::up, 1}) == "blocks.1.mlp.gate_up.weight");
  CHECK(weight_at(quantized_variant(0), {nn::Site::up, 0}) == "blocks.0.mlp.up.weight");
}

TEST_CASE("a probed model is seen at every linear layer, position by position") {
  for (int variant = 0; variant < kVariants; ++variant) {
    CAPTURE(variant);
    OpenedSmallModel model(quantized_variant(variant));
    const Calibration found = calibrated(model);
    SmallModel& s = model.small;
    InputsSeen seen(model.config());
    s.gpt.forward(s.ctx, 3, s.tokens.data(), s.targets.data(), s.losses.data(), {}, &seen);
    CHECK(seen.seen.size() ==
          static_cast<std::size_t>(model.config().layers * (model.config().has_mlp() ? 4 : 2)));
    CHECK(found.positions() == 18);
    bool any = false;
    for (const auto& [weight, rows] : seen.seen) {
      INFO(weight);
      REQUIRE(rows.size() == 18);
      std::vector<float> largest(rows[0].size());
      std::vector<Index> often;
      for (std::size_t k = 0; k < largest.size(); ++k) {
        int above = 0;
        for (const std::vector<float>& row : rows) {
          largest[k] = std::max(largest[k], std::fabs(row[k]));
          above += std::fabs(row[k]) >= 6.0f;
        }
        if (above >= 9) often.push_back(static_cast<Index>(k));
      }
      CHECK(largest_of(found, weight) == largest);
      CHECK(found.outliers(weight, 0.5) == often);
      any = any || !often.empty();
    }
    CHECK(any);  // the large gains make some
  }
}

TEST_CASE("a pass in bfloat16 is no calibration") {
  model::ModelConfig m = quantized_variant(0);
  SmallModel small(m, {1, m.context}, kernels::select_table("auto"), 1, kernels::FloatType::bfloat16);
  Calibration c(6.0f);
  CalibrationProbe probe(m, c);
  CHECK_THROWS_AS(small.gpt.forward(small.ctx, 1, small.tokens.data(), small.targets.data(),
                                    small.losses.data(), {}, &probe),
                  ContractError);
}
