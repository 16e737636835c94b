#include "train/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "kernels/rowwise/adafactor.hpp"
#include "kernels/rowwise/optimizer.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::train {
namespace {

using tensor::Index;

// A value per parameter value, laid out like Gpt::values().
tensor::Arena like_values(const model::Gpt& gpt) {
  tensor::Arena arena(gpt.values().size_bytes());
  arena.take(static_cast<Index>(gpt.values().size()));
  return arena;
}

std::ptrdiff_t place_of(const model::NamedParameter& p, const model::Gpt& gpt) {
  return p.tensor.value - gpt.values().data();
}

// The learning rate of a tensor, and the decay that with it takes lr x weight_decay of a weight per step.
float rate_of(const model::NamedParameter& p, double lr) {
  return static_cast<float>(lr) * p.lr_scale;
}
float decay_of(const model::NamedParameter& p, double weight_decay) {
  return p.decay == tensor::Decay::yes ? static_cast<float>(weight_decay) / p.lr_scale : 0.0f;
}

}  // namespace

double gradient_norm(kernels::ExecContext& ctx, const model::Gpt& gpt) {
  const std::span<float> gradients = gpt.gradients();  // the padding is zero and adds nothing
  return std::sqrt(kernels::sum_of_squares(ctx, gradients.data(), static_cast<Index>(gradients.size())));
}

double Optimizer::step(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number) {
  const double norm = gradient_norm(ctx, gpt);
  if (!std::isfinite(norm)) return norm;
  update(ctx, gpt, lr, number, clip_ > 0.0 && norm > clip_ ? static_cast<float>(clip_ / norm) : 1.0f);
  gpt.values_changed();
  return norm;
}

void Optimizer::remember(const std::string& prefix, const model::Gpt& gpt, std::span<float> values) {
  for (const model::NamedParameter& p : gpt.parameters())
    state_.push_back({prefix + p.name, p.tensor.rows, p.tensor.cols,
                      values.subspan(static_cast<std::size_t>(place_of(p, gpt)),
                                     static_cast<std::size_t>(p.tensor.size()))});
}

AdamW::AdamW(const model::Gpt& gpt, const AdamWHyper& hyper)
    : Optimizer(hyper.clip), hyper_(hyper), m_(like_values(gpt)), v_(like_values(gpt)) {
  remember("adamw.m.", gpt, m_.used());
  remember("adamw.v.", gpt, v_.used());
}

void AdamW::update(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number, float scale) {
  kernels::AdamWStep update;
  update.beta1 = static_cast<float>(hyper_.beta1);
  update.beta2 = static_cast<float>(hyper_.beta2);
  update.epsilon = static_cast<float>(hyper_.epsilon);
  update.grad_scale = scale;
  update.step = number;
  for (const model::NamedParameter& p : gpt.parameters()) {
    const auto place = place_of(p, gpt);
    update.lr = rate_of(p, lr);
    update.weight_decay = decay_of(p, hyper_.weight_decay);
    kernels::adamw(ctx, p.tensor.value, m_.used().data() + place, v_.used().data() + place, p.tensor.gradient,
                   p.tensor.size(), update);
  }
}

Sgd::Sgd(const model::Gpt& gpt, double momentum, double weight_decay, double clip)
    : Optimizer(clip), momentum_(momentum), weight_decay_(weight_decay), velocity_(like_values(gpt)) {
  remember("sgd.velocity.", gpt, velocity_.used());
}

void Sgd::update(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t, float scale) {
  kernels::SgdStep update;
  update.momentum = static_cast<float>(momentum_);
  update.grad_scale = scale;
  update.decoupled = true;
  for (const model::NamedParameter& p : gpt.parameters()) {
    update.lr = rate_of(p, lr);
    update.weight_decay = decay_of(p, weight_decay_);
    kernels::sgd(ctx, p.tensor.value, velocity_.used().data() + place_of(p, gpt), p.tensor.gradient,
                 p.tensor.size(), update);
  }
}

namespace {

// Floats that Adafactor remembers of a parameter.
std::size_t factored_bytes(Index rows, Index cols) {
  return (rows > 1 ? tensor::arena_bytes(rows) : 0) + tensor::arena_bytes(cols);
}

}  // namespace

Adafactor::Adafactor(const model::Gpt& gpt, double weight_decay, double clip)
    : Optimizer(clip), weight_decay_(weight_decay), moments_([&] {
        std::size_t bytes = 0;
        for (const model::NamedParameter& p : gpt.parameters())
          bytes += factored_bytes(p.tensor.rows, p.tensor.cols);
        return bytes;
      }()) {
  for (const model::NamedParameter& p : gpt.parameters()) {
    const auto add = [&](const char* prefix, Index count) {
      state_.push_back({prefix + p.name, 1, count, {moments_.take(count), static_cast<std::size_t>(count)}});
    };
    if (p.tensor.rows > 1) add("adafactor.row.", p.tensor.rows);
    add("adafactor.col.", p.tensor.cols);
  }
}

void Adafactor::update(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number,
                       float scale) {
  kernels::AdafactorStep update;
  update.beta2 = static_cast<float>(1.0 - std::pow(static_cast<double>(number), -0.8));
  update.grad_scale = scale;
  auto moment = state_.begin();
  for (const model::NamedParameter& p : gpt.parameters()) {
    update.lr = rate_of(p, lr);
    update.weight_decay = decay_of(p, weight_decay_);
    float* const row = p.tensor.rows > 1 ? (moment++)->values.data() : nullptr;
    float* const col = (moment++)->values.data();
    kernels::adafactor(ctx, {p.tensor.value, p.tensor.rows, p.tensor.cols},
                       {p.tensor.gradient, p.tensor.rows, p.tensor.cols}, row, col, update);
  }
}

std::unique_ptr<Optimizer> make_optimizer(const model::OptimConfig& t, const model::Gpt& gpt) {
  if (t.optimizer == "sgd") return std::make_unique<Sgd>(gpt, t.beta1, t.weight_decay, t.clip);
  if (t.optimizer == "adafactor") return std::make_unique<Adafactor>(gpt, t.weight_decay, t.clip);
  LOGLOG_CHECK(t.optimizer == "adamw", "optimizer is '{}'", t.optimizer);
  return std::make_unique<AdamW>(gpt, AdamWHyper{.beta1 = t.beta1,
                                                 .beta2 = t.beta2,
                                                 .epsilon = t.epsilon,
                                                 .weight_decay = t.weight_decay,
                                                 .clip = t.clip});
}

std::size_t optimizer_bytes(const model::OptimConfig& t, const model::ModelConfig& m) {
  std::size_t values = 0, factored = 0;
  for (const model::ParameterShape& p : model::parameter_shapes(m)) {
    values += tensor::arena_bytes(p.rows * p.cols);
    factored += factored_bytes(p.rows, p.cols);
  }
  if (t.optimizer == "adafactor") return factored;
  return t.optimizer == "sgd" ? values : 2 * values;
}

std::size_t optimizer_scratch_bytes(const model::ModelConfig& m, const kernels::KernelTable& table,
                                    int threads) {
  std::size_t values = 0, most = 0;
  for (const model::ParameterShape& p : model::parameter_shapes(m)) {
    values += tensor::arena_bytes(p.rows * p.cols) / sizeof(float);
    most = std::max(most, kernels::rowwise_scratch_bytes(table, threads, p.rows, p.cols));
  }
  return std::max(most, kernels::sum_of_squares_scratch_bytes(static_cast<Index>(values)));
}

}  // namespace loglog::train
