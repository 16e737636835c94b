#include "train/optimizer.hpp"

#include <limits>

#include "support/isa.hpp"
#include "support/small_models.hpp"

using namespace loglog;
using namespace loglog::testing;

namespace {

const model::ModelConfig kConfig{.layers = 1, .width = 8, .heads = 2, .context = 4, .vocab = 6};

SmallModel small_model() {
  return {kConfig, {2, 4}, test_table()};
}

}  // namespace

TEST_CASE("AdamW, three steps, against Loshchilov and Hutter's algorithm 2 in double") {
  SmallModel small = small_model();
  const train::AdamWHyper hyper{
      .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 0.5};
  const double lr = 1e-2;
  train::AdamW adamw(small.gpt, hyper);
  const std::size_t n = small.gpt.values().size();
  std::vector<double> value(small.gpt.values().begin(), small.gpt.values().end()), m(n), v(n);
  std::vector<double> decay(n, 0.0);
  for (const model::NamedParameter& p : small.gpt.parameters())
    std::fill_n(decay.begin() + (p.tensor.value - small.gpt.values().data()), p.tensor.size(),
                p.decay == tensor::Decay::yes ? hyper.weight_decay : 0.0);
  for (int step = 1; step <= 3; ++step) {
    small.gpt.zero_gradients(small.ctx);
    small.forward_backward(step == 2 ? 0.01f : 1.0f);  // the second stays below the clipping norm
    double squares = 0.0;
    for (const float g : small.gpt.gradients()) squares += double(g) * double(g);
    const double norm = std::sqrt(squares);
    REQUIRE((norm > hyper.clip) == (step != 2));
    const double clip = norm > hyper.clip ? hyper.clip / norm : 1.0;
    for (std::size_t i = 0; i < n; ++i) {
      const double g = double(small.gpt.gradients()[i]) * clip;
      m[i] = hyper.beta1 * m[i] + (1 - hyper.beta1) * g;
      v[i] = hyper.beta2 * v[i] + (1 - hyper.beta2) * g * g;
      const double correct1 = 1 - std::pow(hyper.beta1, step), correct2 = 1 - std::pow(hyper.beta2, step);
      const double update = m[i] / correct1 / (std::sqrt(v[i] / correct2) + hyper.epsilon);
      value[i] -= lr * (update + decay[i] * value[i]);
    }
    const double returned = adamw.step(small.ctx, small.gpt, lr, step);
    CHECK(returned == Approx(norm).epsilon(1e-12));  // both sum in double
    // Some ten roundings of the update, a few of the value, per step taken.
    CHECK(compare(static_cast<Index>(n), [&](Index i) {
      const auto k = static_cast<std::size_t>(i);
      return Element{small.gpt.values()[k], value[k],
                     step * kUnitRoundoff * (16 * lr + 2 * std::abs(value[k]))};
    }));
  }
}

TEST_CASE("a gradient that is not finite is reported and changes nothing") {
  const float bad = GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  SmallModel small = small_model();
  train::AdamW adamw(small.gpt, {});
  small.forward_backward(1.0f);
  adamw.step(small.ctx, small.gpt, 1e-3, 1);
  const std::vector<float> values = small.values();
  const std::vector<float> m(adamw.first_moments().begin(), adamw.first_moments().end());
  small.gpt.parameters().back().tensor.gradient[3] = bad;
  CHECK_FALSE(std::isfinite(adamw.step(small.ctx, small.gpt, 1e-3, 2)));
  CHECK(compare_equal(small.values(), values));
  CHECK(compare_equal(adamw.first_moments(), m));
}
