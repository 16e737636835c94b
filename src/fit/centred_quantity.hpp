// A number that the user sees as a function of the theta that is fitted, with its derivatives.
#pragma once
#include "fit/objective.hpp"

namespace loglog::fit {

struct Slope {
  double value = 0;
  Vector gradient{};
  Matrix hessian{};
};

class CentredQuantity {
 public:
  CentredQuantity(const Points& points, const Quantity& quantity) : points_(points), quantity_(quantity) {}

  double operator()(const Vector& theta) const;  // theta centred
  // By central differences: quantities are smooth, and of few parameters.
  Slope expand(const Vector& theta) const;
  Vector gradient(const Vector& theta) const;

 private:
  const Points& points_;
  const Quantity& quantity_;
};

}  // namespace loglog::fit
