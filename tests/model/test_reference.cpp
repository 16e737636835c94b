// The whole model against PyTorch: losses, every gradient, ten steps of training. The numbers were written by
// tests/reference/gpt_tiny.py.
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "base/file.hpp"
#include "support/isa.hpp"
#include "support/small_models.hpp"
#include "train/optimizer.hpp"

using namespace loglog;
using namespace loglog::testing;

namespace {

const model::ModelConfig kConfig{.layers = 2, .width = 16, .heads = 4, .context = 8, .vocab = 13};
constexpr nn::BatchShape kShape{3, 8};

std::map<std::string, std::vector<double>> read_vectors(const Path& path) {
  std::istringstream text(read_text(path));
  std::map<std::string, std::vector<double>> all;
  std::string name;
  std::size_t count = 0;
  while (text >> name >> count) {
    std::vector<double>& values = all[name];
    values.resize(count);
    for (double& x : values) text >> x;
    REQUIRE(text);
  }
  return all;
}

// The formula of gpt_tiny.py's `fill`, and its batch.
void fill_like_python(SmallModel& small) {
  for (std::size_t k = 0; k < small.gpt.parameters().size(); ++k) {
    const model::NamedParameter& p = small.gpt.parameters()[k];
    const double offset = p.name.ends_with("gain") ? 1.0 : 0.0;
    for (Index i = 0; i < p.tensor.size(); ++i) {
      const double phase = 1.3 * double(k) + 0.37 * double(i) + 0.011 * double(i) * double(i);
      p.tensor.value[i] = static_cast<float>(offset + 0.3 * std::sin(phase));
    }
  }
  for (std::int32_t r = 0; r < kShape.rows(); ++r) {
    small.tokens[static_cast<std::size_t>(r)] = (r * r + 3 * r) % 13;
    small.targets[static_cast<std::size_t>(r)] = (5 * r + 2) % 13;
  }
}

}  // namespace

TEST_CASE("losses, gradients and ten training steps equal PyTorch's") {
  const auto expected = read_vectors("tests/reference/gpt_tiny.txt");
  SmallModel small(kConfig, kShape, test_table());
  fill_like_python(small);
  const float scale = 1.0f / float(kShape.rows());
  const double tolerance = gradient_tolerance(kConfig, kShape, kConfig.layers);
  small.forward_backward(scale);
  CHECK(compare(kShape.rows(), [&](Index i) {
    const double exact = expected.at("losses")[static_cast<std::size_t>(i)];
    return Element{small.losses[static_cast<std::size_t>(i)], exact, tolerance * (1.0 + exact)};
  }));
  REQUIRE(expected.size() == small.gpt.parameters().size() + 2);
  for (const model::NamedParameter& p : small.gpt.parameters()) {
    INFO(p.name);
    const std::vector<double>& exact = expected.at(p.name);
    REQUIRE(exact.size() == static_cast<std::size_t>(p.tensor.size()));
    double largest = 0.0;
    for (const double g : exact) largest = std::max(largest, std::abs(g));
    CHECK(compare(p.tensor.size(), [&](Index i) {
      return Element{p.tensor.gradient[i], exact[static_cast<std::size_t>(i)], tolerance * largest};
    }));
  }

  train::AdamW adamw(small.gpt, {.beta2 = 0.95, .weight_decay = 0.1, .clip = 1.0});
  const std::vector<double>& history = expected.at("training");
  for (std::size_t step = 0; step < history.size(); ++step) {
    small.gpt.zero_gradients(small.ctx);
    small.forward_backward(scale);
    double mean = 0.0;
    for (const float loss : small.losses) mean += double(loss) / double(kShape.rows());
    CHECK(mean == Approx(history[step]).margin(1e-4));  // ten-step parity as the project promises it
    adamw.step(small.ctx, small.gpt, 1e-2, static_cast<std::int64_t>(step) + 1);
  }
}
