#include "support/isa.hpp"
#include "support/small_models.hpp"
#include "train/optimizer.hpp"

using namespace loglog;
using namespace loglog::testing;

namespace {

constexpr nn::BatchShape kShape{3, 6};

model::ModelConfig small_config(bool bias, bool tied) {
  return {.layers = 2, .width = 8, .heads = 2, .context = 7, .vocab = 11, .bias = bias, .tied = tied};
}

std::vector<LayerRef<Complex>> blocks_ref(const model::ModelConfig& m) {
  return {static_cast<std::size_t>(m.layers), block_ref<Complex>(m, kShape.time)};
}

float mean_scale() {
  return 1.0f / static_cast<float>(kShape.rows());
}

// Sum of |terms| that a gradient element is made of is not known outside; its tensor's largest stands in.
double largest_of(const float* x, Index n) {
  double largest = 0.0;
  for (Index i = 0; i < n; ++i) largest = std::max(largest, std::abs(double(x[i])));
  return largest;
}

}  // namespace

TEST_CASE("losses and gradients of the whole model") {
  const bool bias = GENERATE(true, false), tied = GENERATE(true, false);
  const model::ModelConfig m = small_config(bias, tied);
  CAPTURE(bias, tied);
  SmallModel small(m, kShape, test_table());
  small.forward_backward(mean_scale());
  const Parameters<Complex> p = reference_parameters<Complex>(small.gpt);
  const auto exact = losses_ref(p, m, blocks_ref(m), small.tokens, small.targets, kShape.time);
  const double tolerance = gradient_tolerance(m, kShape, m.layers);
  REQUIRE(compare(kShape.rows(), [&](Index i) {
    const auto r = static_cast<std::size_t>(i);
    return Element{small.losses[r], exact[r].real(), tolerance * (1.0 + exact[r].real())};
  }));
  require_gradients(small, blocks_ref(m), double(mean_scale()), 24);
}

TEST_CASE("losses and gradients of every variant of a block") {
  model::ModelConfig m = small_config(true, true);
  const auto variant = GENERATE(range(0, 10));
  switch (variant) {
    case 0:  // Llama's
      m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.bias = false, m.tied = false;
      break;
    case 1:  // GPT-NeoX's
      m.block = "parallel", m.position = "rope", m.rope_share = 0.5, m.tied = false, m.mlp = "gelu-erf";
      break;
    case 2:
      m.kv_heads = 1, m.mlp = "relu";
      break;
    case 9:  // Qwen2's
      m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.bias = false, m.qkv_bias = true;
      break;
    case 3:
      m.mlp = "none", m.position = "none";
      break;
    case 4:
      m.norm = "none", m.mlp = "geglu", m.mlp_width = 10;
      break;
    case 5:
      m.qk_norm = true, m.mlp = "silu";
      break;
    case 6:
      m.mask = "prefix", m.mask_span = 3, m.block = "parallel", m.norm = "rmsnorm";
      break;
    case 7:
      m.mask = "window", m.mask_span = 2, m.kv_heads = 1, m.qk_norm = true, m.position = "rope";
      break;
    default:
      m.mask = "full", m.mlp = "reglu";
  }
  CAPTURE(variant);
  SmallModel small(m, kShape, test_table());
  small.forward_backward(mean_scale());
  require_gradients(small, blocks_ref(m), double(mean_scale()), 12);
}

// The loss with one mask is a smooth function of the parameters: its gradient shows in finite differences along itself.
TEST_CASE("gradients with dropout are those of the loss with the same mask") {
  model::ModelConfig m = small_config(true, true);
  if (GENERATE(true, false)) m.block = "parallel", m.mlp = "swiglu", m.position = "rope";
  SmallModel small(m, kShape, test_table());
  const nn::DropoutState dropout{0.3f, 11, 4, 18};
  const auto run = [&] {
    small.gpt.zero_gradients(small.ctx);
    small.gpt.forward_backward(small.ctx, kShape.batch, small.tokens.data(), small.targets.data(),
                               mean_scale(), small.losses.data(), {.dropout = dropout});
    double sum = 0;
    for (const float loss : small.losses) sum += double(loss) * double(mean_scale());
    return sum;
  };
  run();
  const std::vector<float> gradient = small.gradients(), start = small.values();
  double norm = 0;
  for (const float g : gradient) norm += double(g) * double(g);
  const double step = 1e-3 / std::sqrt(norm);
  const auto at = [&](double distance) {
    for (std::size_t i = 0; i < start.size(); ++i)
      small.gpt.values()[i] = static_cast<float>(double(start[i]) + distance * double(gradient[i]));
    return run();
  };
  // Central differences: the error is of third order in the step, and of rounding over it.
  const double slope = (at(step) - at(-step)) / (2 * step);
  CHECK(slope == Approx(norm).epsilon(2e-3));

  at(0);
  CHECK(compare_equal(small.gradients(), gradient));
  const std::vector<float> dropped = small.losses;
  small.forward();
  CHECK_FALSE(compare_equal(small.losses, dropped).passed);
}

// Products of bfloat16: every factor is off by up to 2^-9 of itself, and the roundings of a gradient's path, some ten per layer,
// are independent of each other. What a wrong formula does is far larger.
TEST_CASE("losses and gradients in bfloat16 are near those in float32") {
  model::ModelConfig m = small_config(true, true);
  if (GENERATE(true, false))
    m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.kv_heads = 1, m.qk_norm = true;
  SmallModel wide(m, kShape, test_table()), narrow(m, kShape, test_table(), 1, kernels::FloatType::bfloat16);
  wide.forward_backward(mean_scale());
  narrow.forward_backward(mean_scale());
  for (std::size_t r = 0; r < wide.losses.size(); ++r)
    CHECK(std::abs(narrow.losses[r] - wide.losses[r]) <= 0x1p-5f * (1 + wide.losses[r]));
  for (std::size_t k = 0; k < wide.gpt.parameters().size(); ++k) {
    const tensor::Parameter &a = narrow.gpt.parameters()[k].tensor, &b = wide.gpt.parameters()[k].tensor;
    INFO(wide.gpt.parameters()[k].name);
    double error = 0, size = 0;
    for (Index i = 0; i < a.size(); ++i) {
      error += std::pow(double(a.gradient[i]) - double(b.gradient[i]), 2);
      size += std::pow(double(b.gradient[i]), 2);
    }
    REQUIRE(size > 0);
    CHECK(error > 0);  // it was done in bfloat16
    CHECK(std::sqrt(error / size) <= 0x1p-4);
  }
}

TEST_CASE("forward alone gives the losses of forward and backward") {
  SmallModel small(small_config(true, true), kShape, test_table());
  small.forward_backward(1.0f);
  const std::vector<float> with_backward = small.losses;
  small.forward();
  REQUIRE(compare_equal(small.losses, with_backward));
}

TEST_CASE("bits do not depend on the number of threads") {
  // Large enough that every kernel has work for three threads.
  model::ModelConfig m{.layers = 2, .width = 96, .heads = 3, .context = 80, .vocab = 70};
  if (GENERATE(true, false))
    m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.kv_heads = 1, m.qk_norm = true;
  const auto type = GENERATE(kernels::FloatType::float32, kernels::FloatType::bfloat16);
  const nn::BatchShape shape{5, 80};
  SmallModel one(m, shape, test_table(), 1, type);
  train::AdamW adamw_one(one.gpt, {});
  one.forward_backward(1e-2f);
  const std::vector<float> gradients = one.gradients();
  const double norm = adamw_one.step(one.ctx, one.gpt, 1e-3, 1);
  for (const int threads : {2, 3}) {
    SmallModel many(m, shape, test_table(), threads, type);
    train::AdamW adamw(many.gpt, {});
    many.forward_backward(1e-2f);
    CHECK(compare_equal(many.losses, one.losses));
    CHECK(compare_equal(many.gradients(), gradients));
    CHECK(adamw.step(many.ctx, many.gpt, 1e-3, 1) == norm);
    CHECK(compare_equal(many.values(), one.values()));
  }
}

TEST_CASE("a sequence has the same losses alone and in a batch") {
  const auto type = GENERATE(kernels::FloatType::float32, kernels::FloatType::bfloat16);
  SmallModel small(small_config(true, true), kShape, test_table(), 1, type);
  small.forward();
  const std::vector<float> together = small.losses;
  for (Index b = kShape.batch; b-- > 0;) {
    const Index first = b * kShape.time;
    std::vector<float> alone(static_cast<std::size_t>(kShape.time));
    small.gpt.forward(small.ctx, 1, small.tokens.data() + first, small.targets.data() + first, alone.data());
    CHECK(compare_equal(
        alone, std::vector<float>(together.begin() + first, together.begin() + first + kShape.time)));
  }
  small.forward();  // back to the full size
  CHECK(compare_equal(small.losses, together));
}

TEST_CASE("micro-batches add up to the large batch") {
  const model::ModelConfig m = small_config(true, true);
  SmallModel small(m, kShape, test_table());
  small.forward_backward(mean_scale());
  const std::vector<float> whole = small.gradients(), losses = small.losses;
  small.gpt.zero_gradients(small.ctx);
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 2}, {2, 1}}) {
    const Index row = first * kShape.time;
    small.gpt.forward_backward(small.ctx, count, small.tokens.data() + row, small.targets.data() + row,
                               mean_scale(), small.losses.data() + row);
  }
  CHECK(compare_equal(small.losses, losses));
  for (const model::NamedParameter& p : small.gpt.parameters()) {
    INFO(p.name);
    const auto offset = p.tensor.gradient - small.gpt.gradients().data();
    // The same products in another order: one rounding per row and per micro-batch, on each side.
    const double bound =
        2.0 * double(kShape.rows() + 2) * kUnitRoundoff * largest_of(whole.data() + offset, p.tensor.size());
    CHECK(compare(p.tensor.size(), [&](Index i) {
      return Element{p.tensor.gradient[i], whole[static_cast<std::size_t>(offset + i)], bound};
    }));
  }
}

TEST_CASE("one step agrees between this row and the scalar one") {
  const model::ModelConfig m = small_config(true, true);
  // An epsilon near the gradients keeps g / (|g| + epsilon) smooth: its slope is at most 1 / epsilon.
  const train::AdamWHyper hyper{.epsilon = 1e-2, .clip = 0.0};
  const double lr = 1e-2;
  SmallModel here(m, kShape, test_table()), scalar(m, kShape, kernels::select_table("scalar"));
  const std::vector<float> start = here.values();
  for (SmallModel* small : {&here, &scalar}) {
    train::AdamW adamw(small->gpt, hyper);
    small->forward_backward(mean_scale());
    adamw.step(small->ctx, small->gpt, lr, 1);
  }
  const double tolerance = gradient_tolerance(m, kShape, m.layers);
  for (std::size_t k = 0; k < here.gpt.parameters().size(); ++k) {
    const tensor::Parameter &a = here.gpt.parameters()[k].tensor, &b = scalar.gpt.parameters()[k].tensor;
    INFO(here.gpt.parameters()[k].name);
    const auto offset = a.value - here.gpt.values().data();
    const double gradient_bound = 2.0 * tolerance * largest_of(b.gradient, b.size());
    CHECK(compare(a.size(), [&](Index i) {
      const double before = start[static_cast<std::size_t>(offset + i)];
      const double rounding = 4.0 * kUnitRoundoff * (std::abs(before) + lr);
      return Element{a.value[i] - before, b.value[i] - before,
                     lr * gradient_bound / hyper.epsilon + rounding};
    }));
  }
}

TEST_CASE("one batch is learned by heart") {
  const model::ModelConfig m{
      .layers = 2, .width = 32, .heads = 4, .context = 16, .vocab = 40, .init_sd = 0.02f};
  const nn::BatchShape shape{2, 16};
  SmallModel small(m, shape, test_table());
  small.gpt.initialise(7);
  train::AdamW adamw(small.gpt, {.weight_decay = 0.0});
  const auto mean_loss = [&] {
    double total = 0.0;
    for (const float loss : small.losses) total += double(loss);
    return total / double(shape.rows());
  };
  small.forward();
  CHECK(mean_loss() == Approx(std::log(40.0)).margin(0.2));  // an untrained model knows nothing
  for (int step = 1; step <= 150; ++step) {
    small.gpt.zero_gradients(small.ctx);
    small.forward_backward(1.0f / float(shape.rows()));
    adamw.step(small.ctx, small.gpt, 1e-2, step);
  }
  CHECK(mean_loss() < 0.02);
}

TEST_CASE("weights that are not kept packed give the same bits and take no memory") {
  model::ModelConfig m = small_config(true, true);
  const std::string mlp = GENERATE("gelu", "swiglu");
  m.mlp = mlp;
  const nn::Products none{kernels::FloatType::bfloat16, nn::PackedForms::none};
  SmallModel packed(m, kShape, test_table(), 2, kernels::FloatType::bfloat16);
  SmallModel small(m, kShape, test_table(), 2, none);
  for (SmallModel* model : {&packed, &small}) {
    model->gpt.zero_gradients(model->ctx);
    model->forward_backward(mean_scale());
  }
  CHECK(compare_equal(small.losses, packed.losses));
  CHECK(compare_equal(small.gradients(), packed.gradients()));
  const auto bytes = [&](const nn::Products& products, model::Purpose purpose) {
    return model::Gpt::plan(m, kShape, products, test_table(), 2, purpose).packed;
  };
  using model::Purpose, kernels::FloatType;
  CHECK(bytes(none, Purpose::training) == bytes(FloatType::float32, Purpose::training));
  const std::size_t both = bytes(FloatType::bfloat16, Purpose::training) - bytes(none, Purpose::training);
  const std::size_t one = bytes(FloatType::bfloat16, Purpose::inference) - bytes(none, Purpose::inference);
  CHECK(one > 0);
  CHECK(one < both * 3 / 4);  // of small matrices a panel's end is much
}

TEST_CASE("a model for inference has the losses of one that trains, and no more memory than it plans") {
  const kernels::FloatType type = GENERATE(kernels::FloatType::float32, kernels::FloatType::bfloat16);
  const model::ModelConfig m = small_config(true, true);
  SmallModel trained(m, kShape, test_table(), 1, type);
  trained.forward();
  model::Gpt gpt(m, kShape, type, model::Purpose::inference);
  std::ranges::copy(trained.gpt.values(), gpt.values().begin());
  gpt.values_changed();
  kernels::Scratch scratch(gpt.scratch_bytes(test_table(), 1));
  kernels::ExecContext ctx{test_table(), 1, scratch};
  std::vector<float> losses(trained.losses.size());
  for (const Index batch : {kShape.batch, Index{1}, kShape.batch}) {
    std::ranges::fill(losses, 0.0f);
    gpt.forward(ctx, batch, trained.tokens.data(), trained.targets.data(), losses.data());
    const auto count = static_cast<std::size_t>(batch * kShape.time);
    CHECK(
        compare_equal(std::vector<float>(losses.begin(), losses.begin() + static_cast<std::ptrdiff_t>(count)),
                      std::vector<float>(trained.losses.begin(),
                                         trained.losses.begin() + static_cast<std::ptrdiff_t>(count))));
  }
  CHECK(gpt.gradients().empty());
  const auto plan = model::Gpt::plan(m, kShape, type, test_table(), 1, model::Purpose::inference);
  const auto training = model::Gpt::plan(m, kShape, type, test_table(), 1);
  CHECK(plan.gradients == 0);
  CHECK(plan.scratch == gpt.scratch_bytes(test_table(), 1));
  CHECK(plan.activations < training.activations / 2);  // two blocks, a head and the stream between them
}
