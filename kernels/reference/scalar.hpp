// What the references need to know of their scalar: comparisons use real parts, so that they are analytic and
// a complex step goes through them.
#pragma once
#include <algorithm>
#include <complex>
#include <limits>

#include "kernels/matrix.hpp"

namespace loglog::kernels::reference {

inline double real_part(double x) {
  return x;
}
inline double real_part(const std::complex<double>& x) {
  return x.real();
}

}  // namespace loglog::kernels::reference
