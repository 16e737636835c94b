#include "fit/law_form.hpp"

namespace loglog::fit {

void LawForm::log_losses(const Vector& theta, LossBatch& batch) const {
  const int n = parameter_count();
  Vector gradient;
  Matrix hessian;
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch.count); ++i) {
    batch.value[i] = log_loss(theta, batch.log_x[i], &gradient, batch.with_hessian ? &hessian : nullptr);
    std::size_t pair = 0;
    for (int a = 0; a < n; ++a) {
      batch.gradient[static_cast<std::size_t>(a)][i] = gradient[static_cast<std::size_t>(a)];
      for (int b = 0; batch.with_hessian && b <= a; ++b) batch.hessian[pair++][i] = at(hessian, a, b);
    }
  }
}

}  // namespace loglog::fit
