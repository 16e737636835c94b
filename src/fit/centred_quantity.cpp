#include "fit/centred_quantity.hpp"

namespace loglog::fit {
namespace {

constexpr double kStep = 1e-4;

double at_moved(const CentredQuantity& q, Vector theta, int i, double a, int j = 0, double b = 0) {
  theta[static_cast<std::size_t>(i)] += a, theta[static_cast<std::size_t>(j)] += b;
  return q(theta);
}

}  // namespace

double CentredQuantity::operator()(const Vector& theta) const {
  return quantity_.value(points_.law().form->restore(theta, points_.centres()));
}

Vector CentredQuantity::gradient(const Vector& theta) const {
  Vector gradient{};
  for (int i = 0; i < points_.law().parameter_count(); ++i)
    gradient[static_cast<std::size_t>(i)] =
        (at_moved(*this, theta, i, kStep) - at_moved(*this, theta, i, -kStep)) / (2 * kStep);
  return gradient;
}

Slope CentredQuantity::expand(const Vector& theta) const {
  Slope s;
  s.value = (*this)(theta);
  const auto moved = [&](int i, double a, int j, double b) { return at_moved(*this, theta, i, a, j, b); };
  for (int i = 0; i < points_.law().parameter_count(); ++i) {
    const double up = moved(i, kStep, i, 0), down = moved(i, -kStep, i, 0);
    s.gradient[static_cast<std::size_t>(i)] = (up - down) / (2 * kStep);
    at(s.hessian, i, i) = (up - 2 * s.value + down) / (kStep * kStep);
    for (int j = 0; j < i; ++j)
      at(s.hessian, i, j) = at(s.hessian, j, i) = (moved(i, kStep, j, kStep) - moved(i, kStep, j, -kStep) -
                                                   moved(i, -kStep, j, kStep) + moved(i, -kStep, j, -kStep)) /
                                                  (4 * kStep * kStep);
  }
  return s;
}

}  // namespace loglog::fit
