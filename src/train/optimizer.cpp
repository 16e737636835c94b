#include "train/optimizer.hpp"

#include <cmath>

#include "kernels/rowwise/optimizer.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::train {

AdamW::AdamW(const model::Gpt& gpt, const AdamWHyper& hyper)
    : hyper_(hyper), m_(gpt.values().size()), v_(gpt.values().size()) {
  const auto all = static_cast<tensor::Index>(gpt.values().size());
  m_.take(all);
  v_.take(all);
}

std::size_t AdamW::scratch_bytes(std::size_t values) {
  return kernels::sum_of_squares_scratch_bytes(static_cast<tensor::Index>(values));
}

double AdamW::step(kernels::ExecContext& ctx, model::Gpt& gpt, double lr, std::int64_t number) {
  const std::span<float> gradients = gpt.gradients();  // the padding is zero and adds nothing
  const double norm =
      std::sqrt(kernels::sum_of_squares(ctx, gradients.data(), static_cast<tensor::Index>(gradients.size())));
  if (!std::isfinite(norm)) return norm;

  kernels::AdamWStep update;
  update.lr = static_cast<float>(lr);
  update.beta1 = static_cast<float>(hyper_.beta1);
  update.beta2 = static_cast<float>(hyper_.beta2);
  update.epsilon = static_cast<float>(hyper_.epsilon);
  update.grad_scale = hyper_.clip > 0.0 && norm > hyper_.clip ? static_cast<float>(hyper_.clip / norm) : 1.0f;
  update.step = number;
  for (const model::NamedParameter& p : gpt.parameters()) {
    const auto offset = p.tensor.value - gpt.values().data();
    update.weight_decay = p.decay == tensor::Decay::yes ? static_cast<float>(hyper_.weight_decay) : 0.0f;
    kernels::adamw(ctx, p.tensor.value, m_.used().data() + offset, v_.used().data() + offset,
                   p.tensor.gradient, p.tensor.size(), update);
  }
  return norm;
}

}  // namespace loglog::train
