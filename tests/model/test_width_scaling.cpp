// Maximal-update scaling. That it does what it is for: after a few steps of Adam the change of the logits has the same size
// at every width, which with one learning rate for all grows with the width (Yang et al. 2022, figure 5).
#include "model/width_scaling.hpp"

#include <cmath>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"
#include "support/small_models.hpp"
#include "train/optimizer.hpp"

using namespace loglog;
using namespace loglog::model;

TEST_CASE("factors by hand") {
  ModelConfig m;
  m.width = 256;
  m.base_width = 64;
  const auto scaled = [&](std::string_view name, tensor::Initial initial) {
    const ScaledParameter p = scale_to_width(m, name, initial);
    return std::vector<float>{p.initial.mean, p.initial.sd, p.lr_scale};
  };
  REQUIRE(scaled("blocks.3.attention.qkv.weight", {0, 0.5f}) == std::vector<float>{0, 0.5f, 0.25f});
  REQUIRE(scaled("blocks.3.mlp.down.weight", {0, 0.5f}) == std::vector<float>{0, 0.5f, 0.25f});
  REQUIRE(scaled("blocks.3.attention.qkv.bias", {0, 0}) == std::vector<float>{0, 0, 1});
  REQUIRE(scaled("blocks.3.mlp.norm.gain", {1, 0}) == std::vector<float>{1, 0, 1});
  REQUIRE(scaled("embedding.token", {0, 0.5f}) == std::vector<float>{0, 1, 1});
  REQUIRE(scaled("head.weight", {0, 0.5f}) == std::vector<float>{0, 1, 1});
  REQUIRE(scaled("head.norm.gain", {1, 0}) == std::vector<float>{0.25f, 0, 0.25f});
  REQUIRE(scaled("head.norm.bias", {0, 0}) == std::vector<float>{0, 0, 0.25f});
  m.base_width = 256;
  REQUIRE(scaled("blocks.0.mlp.up.weight", {0, 0.5f}) == std::vector<float>{0, 0.5f, 1});
  m.base_width = 0;
  REQUIRE(scaled("head.norm.gain", {1, 0}) == std::vector<float>{1, 0, 1});
}

namespace {

// How far the mean loss falls in one step of Adam that is too small for anything but the first order to matter.
double first_fall(Index width, Index base_width) {
  const ModelConfig m{
      .layers = 2, .width = width, .heads = width / 16, .context = 16, .vocab = 40, .base_width = base_width};
  const nn::BatchShape shape{4, 16};
  testing::SmallModel small(m, shape, test_table());
  small.gpt.initialise(3);
  train::AdamW adamw(small.gpt, {.weight_decay = 0.0, .clip = 0.0});
  const auto mean_loss = [&] {
    small.forward();
    double total = 0.0;
    for (const float loss : small.losses) total += double(loss);
    return total / double(shape.rows());
  };
  const double before = mean_loss();
  small.gpt.zero_gradients(small.ctx);
  small.forward_backward(1.0f / float(shape.rows()));
  adamw.step(small.ctx, small.gpt, 3e-5, 1);
  return before - mean_loss();
}

// d log fall / d log width over a factor of 8.
double growth(bool scaled) {
  return std::log(first_fall(256, scaled ? 32 : 0) / first_fall(32, scaled ? 32 : 0)) / std::log(8.0);
}

}  // namespace

TEST_CASE("one learning rate moves a wide model as far as a narrow one") {
  // Adam's first step moves every weight by lr, so a matrix of C x C moves what passes through it by C lr: exponent 1
  // without the scaling, 0 with it, as width goes to infinity.
  const double without = growth(false), with = growth(true);
  INFO("exponents " << without << " and " << with);
  REQUIRE(without > 0.5);
  REQUIRE(std::abs(with) < 0.5);
}
